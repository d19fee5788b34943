"""The commands of the station, one file each."""
