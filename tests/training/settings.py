"""Settings that tests of training share."""

SMALL = {
    "image_size": 32,
    "channels": 1,
    "width": 8,
    "log_interval": 2,
    "generator_attention_resolutions": (8,),
    "discriminator_attention_resolutions": (8,),
}
LOGS = {
    "generator_loss": 1.0,
    "discriminator_loss": 2.0,
    "real_logits": 3.0,
    "fake_logits": 4.0,
}
