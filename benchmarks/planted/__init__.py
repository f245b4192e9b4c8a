"""Real clips with defects planted at keyframes: how often does a cover fall into one?"""
