print("glen")
