package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const affero = `This program is free software: you can redistribute it and/or modify
it under the terms of the GNU Affero General Public License as
published by the Free Software Foundation, either version 3 of the
License, or (at your option) any later version.
`

// What may not be linked, and what nobody can tell, is refused; so is a module that says nothing.
func TestLicences_OnlyThoseThatAreAllowed(t *testing.T) {
	mit, err := os.ReadFile(filepath.Join("testdata", "MIT"))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		files map[string]string
		want  string // in the error; empty: it is MIT
	}{
		{map[string]string{"LICENSE": string(mit)}, ""},
		{map[string]string{"License.txt": string(mit), "main.go": affero}, ""},
		{map[string]string{"LICENSE": string(mit), "COPYING": affero}, "AGPL-3.0"},
		{map[string]string{"LICENSE-3RD-PARTY": affero, "LICENSE": string(mit)}, "AGPL-3.0"},
		{map[string]string{"LICENSE": "Ask me first."}, "LICENSE: only 0 %"},
		{map[string]string{"README": string(mit)}, "no licence"},
	} {
		dir := t.TempDir()
		for name, text := range test.files {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := licences(dir)
		switch {
		case test.want == "" && (err != nil || len(*got) != 1 || (*got)[0].License.ID != "MIT"):
			t.Errorf("%v: %v, %v", test.files, got, err)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%v: %v, want an error with %q", test.files, err, test.want)
		}
	}
}
