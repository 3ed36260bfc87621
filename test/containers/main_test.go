package containers

import (
	"os"
	"testing"

	"github.com/odradek/odradek/test/harness"
)

func TestMain(m *testing.M) {
	enterRoot()
	os.Exit(harness.Main(m))
}
