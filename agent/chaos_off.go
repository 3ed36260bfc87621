//go:build !chaos

package agent

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/topic"
	"github.com/odradek/odradek/wal"
)

// injection is where a binary built with the tag chaos breaks this agent from inside (agent/chaos). In this one it is nothing.
type injection struct{}

func (injection) begin(prometheus.Registerer) error            { return nil }
func (injection) bucket(s objectstore.Store) objectstore.Store { return s }
func (injection) metadata(s metadata.Store) metadata.Store     { return s }
func (injection) disk(d wal.Disk) wal.Disk                     { return d }
func (injection) internal(func(topic.ID) bool)                 {}
func (injection) paths() map[string]http.Handler               { return nil }
