package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/google/licensecheck"
	"golang.org/x/mod/module"
)

// allowed are the licences, by their SPDX names, of what Odradek, which is under Apache-2.0, may be linked with.
var allowed = []string{"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MIT-0", "Unlicense", "Zlib", "CC0-1.0"}

// named are the files that licences are in.
var named = regexp.MustCompile(`(?i)^(licen[sc]e|copying|unlicense)([.-].*)?$`)

// leastKnown is how much of a file, in percent, must be the words of licences that are known.
const leastKnown = 75

// licences gives those of the sources in a directory: what its files of that name hold, each of which must be known. Those of
// parts, in directories below, are not looked at.
func licences(dir string) (*cdx.Licenses, error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, f := range files {
		if f.IsDir() || !named.MatchString(f.Name()) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			return nil, err
		}
		found := licensecheck.Scan(text)
		if found.Percent < leastKnown {
			return nil, fmt.Errorf("%s: only %.0f %% of it are the words of a licence that is known", f.Name(), found.Percent)
		}
		for _, m := range found.Match {
			if !slices.Contains(allowed, m.ID) {
				return nil, fmt.Errorf("%s: Odradek may not be linked with what is under %s", f.Name(), m.ID)
			}
			ids = append(ids, m.ID)
		}
	}
	if len(ids) == 0 {
		return nil, errors.New("no licence was found")
	}
	slices.Sort(ids)
	var all cdx.Licenses
	for _, id := range slices.Compact(ids) {
		all = append(all, cdx.LicenseChoice{License: &cdx.License{ID: id}})
	}
	return &all, nil
}

// sources is where the module cache has a module.
func sources(path, version string) (string, error) {
	cache, err := exec.Command("go", "env", "GOMODCACHE").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOMODCACHE: %w", err)
	}
	name, err := module.EscapePath(path)
	if err != nil {
		return "", err
	}
	escaped, err := module.EscapeVersion(version)
	if err != nil {
		return "", err
	}
	return filepath.Join(strings.TrimSpace(string(cache)), name+"@"+escaped), nil
}
