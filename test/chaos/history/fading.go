package history

import (
	"strconv"
	"time"
)

// Fading says what a topic may lose while it lives; the zero value is nothing.
type Fading struct {
	Partitions int32         `json:"partitions"`
	Age        time.Duration `json:"age,omitempty"`    // records older than that, by retention.ms
	Bytes      int64         `json:"bytes,omitempty"`  // the oldest, while so many bytes are left, by retention.bytes
	Cut        bool          `json:"cut,omitempty"`    // the oldest, by DeleteRecords
	ByKey      bool          `json:"by_key,omitempty"` // those with a newer one of their key
}

// Config is the settings that the topic is made with.
func (f Fading) Config() map[string]*string {
	out := map[string]*string{}
	set := func(name, value string) { out[name] = &value }
	if f.Age > 0 {
		set("retention.ms", strconv.FormatInt(f.Age.Milliseconds(), 10))
	}
	if f.Bytes > 0 {
		set("retention.bytes", strconv.FormatInt(f.Bytes, 10))
	}
	if f.ByKey {
		set("cleanup.policy", "compact")
		set("min.cleanable.dirty.ratio", "0.01")
	}
	return out
}
