// Program readme writes the README of each Terraform module from its variables and outputs:
//
//	go run ./test/terraform/readme terraform/modules/*
//
// It reads what `terraform fmt` leaves: a block begins with its word at the start of a line and ends with a brace
// there; an attribute is indented by two spaces. What it cannot read is an error. A test fails when a README is not
// what the module says. On no floor; it starts no goroutine.
package main
