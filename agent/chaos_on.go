//go:build chaos

package agent

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/odradek/odradek/agent/chaos"
	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/topic"
	"github.com/odradek/odradek/wal"
)

// injection is where this binary breaks the agent from inside.
type injection struct{ *chaos.Injector }

func (i *injection) begin(registry prometheus.Registerer) (err error) {
	i.Injector, err = chaos.New(registry)
	return err
}

func (i *injection) bucket(s objectstore.Store) objectstore.Store { return i.Store(s) }
func (i *injection) metadata(s metadata.Store) metadata.Store     { return i.Metadata(s) }
func (i *injection) disk(d wal.Disk) wal.Disk                     { return i.Disk(d) }
func (i *injection) internal(is func(topic.ID) bool)              { i.Internal(is) }
func (i *injection) paths() map[string]http.Handler {
	return map[string]http.Handler{"/chaos/": i.Handler()}
}
