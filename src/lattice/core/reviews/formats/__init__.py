"""Reports of others read as reviews: bytes in, a review and what could not be taken over out."""
