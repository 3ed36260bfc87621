package main

import (
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	for _, dir := range os.Args[1:] {
		m, err := Read(dir)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, "README.md"), []byte(m.Markdown()), 0o644)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "readme:", err)
			os.Exit(1)
		}
	}
}
