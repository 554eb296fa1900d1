"""python -m sagan_tf COMMAND, the same as sagan-tf COMMAND."""

from sagan_tf.commands.main import main

if __name__ == "__main__":
    main()
