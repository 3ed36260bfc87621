package local_test

import (
	"testing"

	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/objectstore/local"
	"github.com/odradek/odradek/objectstore/objectstoretest"
)

func TestConformance(t *testing.T) {
	objectstoretest.Run(t, func(t *testing.T) objectstore.Store { return open(t, t.TempDir()) })
}

func open(t testing.TB, dir string) *local.Store {
	t.Helper()
	s, err := local.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
