"""What commands and calls are given and answer."""

from ._generated.types import *
