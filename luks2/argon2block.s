// Lets argon2block.go declare a function that another package has.
