package memory_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/objectstore/memory"
	"github.com/odradek/odradek/objectstore/objectstoretest"
)

func TestConformance(t *testing.T) {
	objectstoretest.Run(t, func(*testing.T) objectstore.Store { return memory.New() })
}

func TestCreate_KeepsMetadata(t *testing.T) {
	s := memory.New()
	body := objectstore.NewBody([]byte("x"))
	body.Meta = map[string]string{"nonce": "1"}
	if err := s.Create(t.Context(), "k", body); err != nil {
		t.Fatal(err)
	}
	body.Meta["nonce"] = "2"
	if got := s.Meta("k")["nonce"]; got != "1" {
		t.Errorf("metadata %q, want what it was at the create", got)
	}
}

func BenchmarkCreate(b *testing.B) {
	for _, size := range []int{4 << 10, 1 << 20, 8 << 20} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			s := memory.New()
			body := objectstore.NewBody(bytes.Repeat([]byte("o"), size))
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if err := s.Create(b.Context(), "k", body); err != nil {
					b.Fatal(err)
				}
				if err := s.Delete(b.Context(), "k"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
