package control

import (
	"fmt"
	"os"
	"regexp"
	"testing"
)

func TestFormatPage_NamesEveryType(t *testing.T) {
	page, err := os.ReadFile("../docs/format/control.md")
	if err != nil {
		t.Fatal(err)
	}
	for typ, k := range kinds {
		row := fmt.Sprintf(`(?m)^\| %d +\| %s +\|`, typ, k.name)
		if len(k.decode) == 0 {
			row = fmt.Sprintf(`[ \n]%d %s[,.]`, typ, k.name)
		}
		if !regexp.MustCompile(row).Match(page) {
			t.Errorf("type %d %s is not on the page", typ, k.name)
		}
	}
}
