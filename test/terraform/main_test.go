package terraform

import (
	"os"
	"testing"

	"github.com/odradek/odradek/test/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }
