package embedded_test

import (
	"testing"

	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/metadata/embedded"
	"github.com/odradek/odradek/metadata/metadatatest"
)

func TestStore(t *testing.T) {
	metadatatest.Run(t, func(*testing.T) metadata.Store { return embedded.Open() })
}

func TestOpen_EachIsAnotherStore(t *testing.T) {
	run, replication, _ := embedded.Open().Identity(t.Context())
	otherRun, otherReplication, _ := embedded.Open().Identity(t.Context())
	if run == otherRun || replication == otherReplication {
		t.Fatalf("two stores with one identity: %s %s", run, replication)
	}
}
