"""What is proven: the store of generations, rendering them, what the front may send by itself."""
