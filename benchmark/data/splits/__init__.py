"""Who trains, who validates, who tests: named splits, split files, published lists."""
