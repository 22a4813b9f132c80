"""`bench publish`: an export, checked, in a Hugging Face repository or a Zenodo draft."""
