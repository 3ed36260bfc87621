// Sbom writes the bill of materials of a Go binary in CycloneDX: the modules that the binary itself says it was linked
// from. The same binary gives the same bytes: there is no time and no serial number in it.
//
//	go run -C test/release/sbom . -version v1.0.0 BINARY > BINARY.cdx.json
package main

import (
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

func main() {
	version := flag.String("version", "", "the release")
	flag.Parse()
	if flag.NArg() != 1 || *version == "" {
		fmt.Fprintln(os.Stderr, "usage: sbom -version VERSION BINARY")
		os.Exit(2)
	}
	if err := run(flag.Arg(0), *version); err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

func run(path, version string) error {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return err
	}
	binary, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(binary)
	main := purl(info.Main.Path, version)
	bom := cdx.NewBOM()
	bom.SerialNumber = ""
	bom.Metadata = &cdx.Metadata{Component: &cdx.Component{
		BOMRef: main, Type: cdx.ComponentTypeApplication, Name: filepath.Base(path), Version: version, PackageURL: main,
		Hashes: &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: hex.EncodeToString(sum[:])}},
	}}
	all := []cdx.Component{{
		BOMRef: purl("std", info.GoVersion), Type: cdx.ComponentTypeLibrary, Name: "std", Version: info.GoVersion, PackageURL: purl("std", info.GoVersion),
	}}
	for _, m := range info.Deps {
		if m.Replace != nil {
			return fmt.Errorf("%s is replaced by %s", m.Path, m.Replace.Path)
		}
		ref := purl(m.Path, m.Version)
		all = append(all, cdx.Component{BOMRef: ref, Type: cdx.ComponentTypeLibrary, Name: m.Path, Version: m.Version, PackageURL: ref,
			Properties: &[]cdx.Property{{Name: "go.sum", Value: m.Sum}}})
	}
	bom.Components = &all
	needs := make([]string, 0, len(all))
	for _, c := range all {
		needs = append(needs, c.BOMRef)
	}
	bom.Dependencies = &[]cdx.Dependency{{Ref: main, Dependencies: &needs}}
	return cdx.NewBOMEncoder(os.Stdout, cdx.BOMFileFormatJSON).SetPretty(true).Encode(bom)
}

// purl names a module as package URLs do.
func purl(path, version string) string { return "pkg:golang/" + path + "@" + version }
