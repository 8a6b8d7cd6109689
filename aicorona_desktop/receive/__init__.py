"""The DICOM receiver: a process of its own, the only code of the program that opens a socket; off by default."""
