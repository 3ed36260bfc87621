package group

import (
	"go/ast"
	"go/parser"
	"go/token"
	"testing"
)

// TestMachine_IsPure holds the files of the machine to it: no goroutine, no channel, no clock, no I/O.
func TestMachine_IsPure(t *testing.T) {
	allowed := map[string]bool{
		`"bytes"`: true, `"cmp"`: true, `"encoding/binary"`: true, `"errors"`: true, `"maps"`: true, `"slices"`: true, `"time"`: true,
		`"github.com/odradek/odradek/topic"`:                     true,
		`"github.com/odradek/odradek/agent/group/offsetsrecord"`: true,
	}
	clock := map[string]bool{"Now": true, "Since": true, "Until": true, "Sleep": true, "After": true, "AfterFunc": true,
		"NewTimer": true, "NewTicker": true, "Tick": true}
	for _, name := range []string{"machine", "requests", "errors", "state", "member", "group", "join", "rebalance", "sync", "heartbeat",
		"leave", "offsets", "retention", "admin", "replay", "subscription"} {
		file, err := parser.ParseFile(token.NewFileSet(), name+".go", nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range file.Imports {
			if !allowed[i.Path.Value] {
				t.Errorf("%s.go imports %s", name, i.Path.Value)
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt, *ast.SendStmt, *ast.SelectStmt, *ast.ChanType:
				t.Errorf("%s.go has a goroutine or a channel", name)
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && x.Name == "time" && clock[n.Sel.Name] {
					t.Errorf("%s.go uses time.%s", name, n.Sel.Name)
				}
			}
			return true
		})
	}
}
