// Command reader reads files of compose and of Kubernetes with the libraries of those who made them, for the tests of the
// package above. It is a module of its own, so that they are no dependencies of Odradek.
//
//	reader compose FILE       prints the project as JSON, as compose would run it with no variables set
//	reader manifests          reads YAML documents from standard input and prints them as a JSON array; a field that its kind
//	                          does not have, or of another type, is an error
package main

import (
	"encoding/json"
	"fmt"
	"os"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "reader:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	var result any
	var err error
	switch {
	case len(args) == 2 && args[0] == "compose":
		result, err = readCompose(args[1])
	case len(args) == 1 && args[0] == "manifests":
		result, err = readManifests(os.Stdin)
	default:
		return fmt.Errorf("want compose FILE, or manifests")
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}
