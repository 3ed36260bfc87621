// Sbom writes the bill of materials of a Go binary in CycloneDX: the modules that the binary itself says it was linked
// from, with the licences that files in the root of their sources hold. It fails if one of them has none, or one that Odradek
// may not be linked with. The same binary gives the same bytes: there is no time and no serial number in it.
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
	"runtime"

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
	std, err := licences(runtime.GOROOT())
	if err != nil {
		return fmt.Errorf("the standard library: %w", err)
	}
	all := []cdx.Component{{
		BOMRef: purl("std", info.GoVersion), Type: cdx.ComponentTypeLibrary, Name: "std", Version: info.GoVersion, PackageURL: purl("std", info.GoVersion),
		Licenses: std,
	}}
	for _, m := range info.Deps {
		if m.Replace != nil {
			return fmt.Errorf("%s is replaced by %s", m.Path, m.Replace.Path)
		}
		dir, err := sources(m.Path, m.Version)
		if err != nil {
			return err
		}
		under, err := licences(dir)
		if err != nil {
			return fmt.Errorf("%s: %w", m.Path, err)
		}
		ref := purl(m.Path, m.Version)
		all = append(all, cdx.Component{BOMRef: ref, Type: cdx.ComponentTypeLibrary, Name: m.Path, Version: m.Version, PackageURL: ref,
			Licenses: under, Properties: &[]cdx.Property{{Name: "go.sum", Value: m.Sum}}})
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
