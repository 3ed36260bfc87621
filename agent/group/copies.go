package group

import (
	"context"

	"github.com/odradek/odradek/topic"
)

// noCopies keeps none.
type noCopies struct{}

func (noCopies) Load(context.Context, int32) (topic.Offset, []Record) { return 0, nil }
func (noCopies) Restart(int32)                                        {}
func (noCopies) Apply(int32, topic.Offset, []Record)                  {}
func (noCopies) Loaded(int32, topic.Offset)                           {}
func (noCopies) Unload(int32)                                         {}
