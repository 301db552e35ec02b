"""What one may ask of a board: a request and a pure decision each."""
