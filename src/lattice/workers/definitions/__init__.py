"""The workers there are, each as its definition says, and whether it is trusted to start by itself."""
