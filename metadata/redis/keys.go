package redis

import (
	"strconv"

	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/topic"
)

// keys names the keys of one cluster; docs/format/redis.md lists them.
type keys struct{ cluster string }

func (k keys) prefix() string { return "{" + k.cluster + "}:" }

func (k keys) open() string { return k.prefix() + "open" }
func (k keys) eras() string { return k.prefix() + "eras" }
func (k keys) bell() string { return k.prefix() + "bell" }

// of names a key of one era.
func (k keys) of(era uint64, name string) string {
	return k.prefix() + strconv.FormatUint(era, 10) + ":" + name
}

func (k keys) era(era uint64) string      { return k.of(era, "era") }
func (k keys) journals(era uint64) string { return k.of(era, "journals") }
func (k keys) ends(era uint64) string     { return k.of(era, "ends") }
func (k keys) starts(era uint64) string   { return k.of(era, "starts") }
func (k keys) beats(era uint64) string    { return k.of(era, "beats") }
func (k keys) nodes(era uint64) string    { return k.of(era, "nodes") }
func (k keys) all(era uint64) string      { return k.of(era, "keys") }

func (k keys) log(era uint64, journal topic.JournalID) string {
	return k.of(era, "log:"+journal.String())
}

func (k keys) copies(era uint64, kind metadata.CopyKind, p topic.Partition) string {
	return k.of(era, "copies:"+strconv.Itoa(int(kind))+":"+p.String())
}

func slotText(n topic.Slot) string      { return strconv.FormatUint(uint64(n), 10) }
func offsetText(n topic.Offset) string  { return strconv.FormatInt(int64(n), 10) }
func kindsText(k metadata.Kinds) string { return strconv.Itoa(int(k)) }
