package metadatatest

import (
	"context"
	"errors"

	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/topic"
)

// everyCall runs one call of each method that carries a pin, reads and writes apart.
func (b *bench) everyCall(pin metadata.Pin, read, write func(name string, err error)) {
	ctx, s := b.Context(), b.store
	_, err := s.Segments(ctx, pin, []metadata.Cursor{{Journal: journal(1)}}, 10)
	read("segments", err)
	_, err = s.Ends(ctx, pin, []topic.Partition{partition(0)})
	read("ends", err)
	_, err = s.Get(ctx, pin, metadata.CopyGroup, partition(0), []string{"g"})
	read("get", err)
	_, err = s.All(ctx, pin, metadata.CopyGroup, partition(0))
	read("all", err)
	_, err = s.Sweep(ctx, pin, 10)
	read("sweep", err)
	_, err = s.Index(ctx, pin, 1, many(segment(1, 0, 0, 0, 1)))
	write("index", err)
	_, err = s.Apply(ctx, pin, 2, [][]metadata.Effect{nil})
	write("apply", err)
	_, err = s.Applied(ctx, pin)
	write("applied", err)
}

var eraStories = []story{
	{"NothingIsKnownAtFirst", func(b *bench) {
		status, err := b.store.Current(b.Context(), 1)
		b.must("current", err)
		pin := b.pin(1)
		b.same("status", status, metadata.EraStatus{
			RunID: pin.RunID, ReplicationID: pin.ReplicationID, Number: 1, Journals: map[topic.JournalID]metadata.JournalStatus{},
		})
		wantEra := func(name string, err error) { b.wantErr(name, err, metadata.ErrEra) }
		b.everyCall(pin, wantEra, wantEra)
		b.wantErr("load", b.store.Load(b.Context(), pin, nil), metadata.ErrEra)
		b.wantErr("open", b.store.Open(b.Context(), pin, 0, nil), metadata.ErrEra)
		b.wantErr("register", b.store.Register(b.Context(), pin, journal(1), ""), metadata.ErrEra)
	}},
	{"OtherPinsFitNothing", func(b *bench) {
		pin := b.opened()
		otherRun, otherReplication, older := pin, pin, pin
		otherRun.RunID = "0000000000000000000000000000000000000000"
		otherReplication.ReplicationID = "0000000000000000000000000000000000000000"
		older.Era = 0
		prefix := pin
		prefix.RunID = pin.RunID[:20]
		wantEra := func(name string, err error) { b.wantErr(name, err, metadata.ErrEra) }
		for _, wrong := range []metadata.Pin{otherRun, otherReplication, older, prefix, {}} {
			b.everyCall(wrong, wantEra, wantEra)
			wantEra("begin", b.store.Begin(b.Context(), wrong))
			wantEra("load", b.store.Load(b.Context(), wrong, nil))
			wantEra("loaded", b.store.Loaded(b.Context(), wrong, 1))
			wantEra("open", b.store.Open(b.Context(), wrong, 0, nil))
			wantEra("progress", b.store.Progress(b.Context(), wrong))
			wantEra("reattach", b.store.Reattach(b.Context(), wrong, journal(1), 1))
			wantEra("register", b.store.Register(b.Context(), wrong, journal(1), ""))
			wantEra("beat", b.store.Beat(b.Context(), wrong, journal(1)))
			wantEra("put", b.store.Put(b.Context(), wrong, []metadata.Copy{{Kind: metadata.CopyGroup, Key: "g"}}))
			wantEra("drop", b.store.Drop(b.Context(), wrong, metadata.CopyGroup, partition(0)))
			_, err := b.store.Counters(b.Context(), wrong)
			wantEra("counters", err)
			wantEra("remove", b.store.Remove(b.Context(), wrong, []topic.JournalID{journal(1)}))
		}
		b.wantEnds(pin, 0)
	}},
	{"IndexesNothingBeforeLoadedReadsNothingBeforeOpen", func(b *bench) {
		pin := b.pin(1)
		b.must("begin", b.store.Begin(b.Context(), pin))
		b.everyCall(pin, func(name string, err error) { b.wantErr(name, err, metadata.ErrNotOpen) },
			func(name string, err error) { b.wantErr(name, err, metadata.ErrNotLoaded) })
		b.wantErr("open", b.store.Open(b.Context(), pin, 0, nil), metadata.ErrNotReady)
		b.must("loaded", b.store.Loaded(b.Context(), pin, 1))
		b.everyCall(pin, func(name string, err error) { b.wantErr(name, err, metadata.ErrNotOpen) }, b.must)
	}},
	{"JournalMustReattachBeforeItIsIndexedInABuild", func(b *bench) {
		pin := b.pin(1)
		b.must("begin", b.store.Begin(b.Context(), pin))
		b.must("loaded", b.store.Loaded(b.Context(), pin, 0))
		b.apply(pin, 1, metadata.JournalOpened{Journal: journal(1)}, metadata.JournalOpened{Journal: journal(2)}, metadata.PartitionAdded{Partition: partition(0)})
		b.index(pin, many(segment(1, 0, 0, 0, 5)), behind)
		b.must("re-attach", b.store.Reattach(b.Context(), pin, journal(1), 0))
		b.index(pin, many(segment(1, 0, 0, 0, 5)), indexed)
		b.index(pin, many(segment(2, 0, 0, 5, 6)), behind)
		b.apply(pin, 2, metadata.JournalSealed{Journal: journal(2), Seal: 1})
		b.index(pin, many(segment(2, 0, 0, 5, 6)), indexed)
	}},
	{"OpensOnlyWhenComplete", func(b *bench) {
		ctx, s, pin := b.Context(), b.store, b.pin(4)
		expected := []metadata.Expected{{Journal: journal(1)}, {Journal: journal(2), Sealed: true, Seal: 2}}
		notReady := func(what string) {
			b.Helper()
			b.wantErr(what, s.Open(ctx, pin, 1, expected), metadata.ErrNotReady)
		}
		b.must("re-attach before begin", s.Reattach(ctx, pin, journal(1), 1))
		b.must("begin", s.Begin(ctx, pin))
		notReady("not loaded")
		b.must("load", s.Load(ctx, pin, []metadata.Effect{metadata.JournalOpened{Journal: journal(1)}, metadata.PartitionAdded{Partition: partition(0), Next: 4}}))
		b.must("loaded", s.Loaded(ctx, pin, 0))
		notReady("control number 1 not applied")
		b.apply(pin, 1)
		notReady("journal 1 indexed to 0 of 1")
		b.index(pin, many(segment(1, 0, 0, 4, 5)), indexed)
		notReady("journal 2 not opened")
		b.apply(pin, 2, metadata.JournalOpened{Journal: journal(2)})
		notReady("journal 2 neither re-attached nor sealed")
		b.must("re-attach", s.Reattach(ctx, pin, journal(2), 0))
		notReady("journal 2 expected sealed")
		b.apply(pin, 3, metadata.JournalSealed{Journal: journal(2), Seal: 2})
		notReady("journal 2 indexed to 0 of seal 2")
		b.indexAt(pin, 3, many(segment(2, 0), segment(2, 1, 0, 5, 7)), indexed, indexed)
		b.must("open", s.Open(ctx, pin, 1, expected))
		b.must("open again", s.Open(ctx, pin, 1, expected))
		b.wantEnds(pin, 7)
		status, err := s.Current(ctx, 4)
		b.must("current", err)
		if !status.Open() || status.OpenEra != 4 || !status.Loaded || status.Applied != 3 {
			b.Fatalf("status %+v, want era 4 open at control number 3", status)
		}
		b.same("journals", status.Journals, map[topic.JournalID]metadata.JournalStatus{
			journal(1): {Opened: true, Next: 1, Attached: true, Counted: 1},
			journal(2): {Opened: true, Next: 2, Sealed: true, Seal: 2, Attached: true},
		})
	}},
	{"JournalThatReattachedUnexpectedlyHoldsTheEraClosed", func(b *bench) {
		pin := b.loaded(1)
		b.must("re-attach", b.store.Reattach(b.Context(), pin, journal(3), 2))
		b.wantErr("open", b.store.Open(b.Context(), pin, 1, nil), metadata.ErrNotReady)
		b.apply(pin, 2, metadata.JournalOpened{Journal: journal(3)})
		b.index(pin, many(segment(3, 0), segment(3, 1)), indexed, indexed)
		b.must("open", b.store.Open(b.Context(), pin, 1, nil))
	}},
	{"LoadEndsWithLoaded", func(b *bench) {
		pin := b.pin(1)
		b.must("begin", b.store.Begin(b.Context(), pin))
		load := []metadata.Effect{
			metadata.PartitionAdded{Partition: partition(0), Start: 2, Next: 7},
			metadata.PartitionAdded{Partition: partition(1), Next: 3},
			metadata.JournalOpened{Journal: journal(1), First: 5}, metadata.JournalSealed{Journal: journal(1), Seal: 5},
		}
		b.must("load", b.store.Load(b.Context(), pin, load))
		b.must("load again", b.store.Load(b.Context(), pin, load))
		b.must("loaded", b.store.Loaded(b.Context(), pin, 12))
		b.must("loaded again", b.store.Loaded(b.Context(), pin, 12))
		b.must("load late", b.store.Load(b.Context(), pin, []metadata.Effect{metadata.PartitionAdded{Partition: partition(2), Next: 3}}))
		b.must("open", b.store.Open(b.Context(), pin, 12, []metadata.Expected{{Journal: journal(1), Sealed: true, Seal: 5}}))
		ends, err := b.store.Ends(b.Context(), pin, []topic.Partition{partition(0), partition(1), partition(2)})
		b.must("ends", err)
		b.same("ends", ends, []metadata.End{{Known: true, Start: 2, Next: 7}, {Known: true, Next: 3}, {}})
	}},
	{"BuildBesideAnOpenEraNeverMixesWithIt", func(b *bench) {
		one := b.opened()
		b.index(one, many(segment(1, 0, 0, 0, 5)), indexed)
		two := b.loaded(2)
		b.index(two, many(segment(1, 0, 0, 0, 3)), indexed)
		b.index(one, many(segment(1, 1, 0, 5, 6)), indexed)
		b.wantEnds(one, 6)
		b.must("open", b.store.Open(b.Context(), two, 1, nil))
		b.wantEnds(two, 3)
		b.wantLog(two, 1, 0, segment(1, 0, 0, 0, 3))
		wantEra := func(name string, err error) { b.wantErr(name, err, metadata.ErrEra) }
		b.everyCall(one, wantEra, wantEra)
	}},
	{"LowerErasAreNeverBegunOrOpenedAgain", func(b *bench) {
		two := b.loaded(2)
		three := b.loaded(3)
		b.must("open 3", b.store.Open(b.Context(), three, 1, nil))
		b.wantErr("open 2", b.store.Open(b.Context(), two, 1, nil), metadata.ErrEra)
		b.wantErr("begin 2", b.store.Begin(b.Context(), two), metadata.ErrEra)
		b.wantErr("begin 3", b.store.Begin(b.Context(), three), metadata.ErrEra)
		b.wantErr("re-attach to 2", b.store.Reattach(b.Context(), two, journal(1), 0), metadata.ErrEra)
		b.must("re-attach to 3", b.store.Reattach(b.Context(), three, journal(9), 8))
		status, err := b.store.Current(b.Context(), 3)
		b.must("current", err)
		if len(status.Journals) != 2 {
			b.Fatalf("an open era took a journal by re-attaching: %+v", status.Journals)
		}
	}},
	{"SweepTakesOldErasOnly", func(b *bench) {
		one := b.opened()
		b.index(one, many(segment(1, 0, 0, 0, 5)), indexed)
		b.must("put", b.store.Put(b.Context(), one, []metadata.Copy{{Kind: metadata.CopyGroup, Partition: partition(0), Key: "g"}}))
		two := b.loaded(2)
		b.must("open", b.store.Open(b.Context(), two, 1, nil))
		three := b.loaded(3)
		for more := true; more; {
			var err error
			more, err = b.store.Sweep(b.Context(), two, 1)
			b.must("sweep", err)
		}
		status, err := b.store.Current(b.Context(), 1)
		b.must("current", err)
		if status.Begun || len(status.Journals) != 0 {
			b.Fatalf("era 1 after the sweep: %+v", status)
		}
		b.wantEnds(two, 0, 0, 0, 0)
		b.index(three, many(segment(1, 0, 0, 0, 3)), indexed)
	}},
	{"ProgressIsCounted", func(b *bench) {
		pin := b.pin(1)
		b.must("begin", b.store.Begin(b.Context(), pin))
		for range 3 {
			b.must("progress", b.store.Progress(b.Context(), pin))
		}
		status, err := b.store.Current(b.Context(), 1)
		b.must("current", err)
		b.same("progress", status.Progress, uint64(3))
	}},
}

var heartbeatStories = []story{
	{"CountersMoveForEachJournal", func(b *bench) {
		ctx, s, pin := b.Context(), b.store, b.opened()
		b.wantErr("beat", s.Beat(ctx, pin, journal(1)), metadata.ErrNotRegistered)
		b.must("register", s.Register(ctx, pin, journal(1), "a:9092"))
		b.must("register", s.Register(ctx, pin, journal(2), "b:9092"))
		b.must("beat", s.Beat(ctx, pin, journal(1)))
		b.must("beat", s.Beat(ctx, pin, journal(1)))
		b.must("register again", s.Register(ctx, pin, journal(1), "a:9092"))
		counters, err := s.Counters(ctx, pin)
		b.must("counters", err)
		b.same("counters", counters, map[topic.JournalID]uint64{journal(1): 2, journal(2): 0})
		b.must("remove", s.Remove(ctx, pin, []topic.JournalID{journal(1), journal(5)}))
		b.must("remove none", s.Remove(ctx, pin, nil))
		b.wantErr("beat", s.Beat(ctx, pin, journal(1)), metadata.ErrNotRegistered)
		counters, err = s.Counters(ctx, pin)
		b.must("counters", err)
		b.same("counters", counters, map[topic.JournalID]uint64{journal(2): 0})
	}},
	{"BeatWhileAnEraIsBuilt", func(b *bench) {
		ctx, s, one := b.Context(), b.store, b.opened()
		b.must("register", s.Register(ctx, one, journal(1), ""))
		b.must("beat", s.Beat(ctx, one, journal(1)))
		two := b.pin(2)
		b.must("re-attach", s.Reattach(ctx, two, journal(1), 0))
		b.wantErr("beat", s.Beat(ctx, two, journal(1)), metadata.ErrNotRegistered)
		b.must("register", s.Register(ctx, two, journal(1), ""))
		counters, err := s.Counters(ctx, two)
		b.must("counters", err)
		b.same("counters", counters, map[topic.JournalID]uint64{journal(1): 0})
	}},
}

var doorbellStories = []story{
	{"EveryListenerHears", func(b *bench) {
		const ears = 3
		ctx, hangUp := context.WithCancel(b.Context())
		heard := make(chan metadata.Kinds, 100)
		ended := make(chan error, ears)
		for range ears {
			go func() { ended <- b.store.Listen(ctx, func(k metadata.Kinds) { heard <- k }) }()
		}
		for range ears {
			b.same("first ring", <-heard, metadata.AllKinds)
		}
		b.must("ring", b.store.Ring(ctx, metadata.KindControl))
		for range ears {
			b.same("ring", <-heard, metadata.KindControl)
		}
		hangUp()
		for range ears {
			if err := <-ended; !errors.Is(err, context.Canceled) {
				b.Fatalf("listen ended with %v", err)
			}
		}
	}},
	{"WritesRing", func(b *bench) {
		pin := b.opened()
		ctx, hangUp := context.WithCancel(b.Context())
		heard := make(chan metadata.Kinds, 100)
		ended := make(chan error, 1)
		go func() { ended <- b.store.Listen(ctx, func(k metadata.Kinds) { heard <- k }) }()
		b.same("first ring", <-heard, metadata.AllKinds)
		b.index(pin, many(segment(1, 0, 0, 0, 1)), indexed)
		b.same("index rings", <-heard, metadata.KindIndex)
		b.apply(pin, 2)
		b.same("apply rings", <-heard, metadata.KindIndex)
		b.must("put", b.store.Put(ctx, pin, []metadata.Copy{{Kind: metadata.CopyGroup, Key: "g"}}))
		b.same("put rings", <-heard, metadata.KindCopies)
		two := b.loaded(2)
		for k := range heard {
			if k == metadata.AllKinds {
				b.Fatalf("heard an opening before it was")
			}
			if status, err := b.store.Current(ctx, 2); err != nil || status.Applied == 1 {
				break
			}
		}
		b.must("open", b.store.Open(ctx, two, 1, nil))
		b.same("open rings", <-heard, metadata.AllKinds)
		hangUp()
		<-ended
	}},
}

var copyStories = []story{
	{"PutGetAllDrop", func(b *bench) {
		ctx, s, pin := b.Context(), b.store, b.opened()
		group := func(p int32, key string, position topic.Offset, value string) metadata.Copy {
			c := metadata.Copy{Kind: metadata.CopyGroup, Partition: partition(p), Key: key, Position: position}
			if value != "" {
				c.Value = []byte(value)
			}
			return c
		}
		offset := metadata.Copy{Kind: metadata.CopyOffset, Partition: partition(0), Key: "g", Position: 1, Value: []byte("\x00\xff 7")}
		b.must("put none", s.Put(ctx, pin, nil))
		b.must("put", s.Put(ctx, pin, []metadata.Copy{group(0, "g", 5, "five"), group(0, "f", 9, "a b"), group(1, "g", 1, "other"), offset}))
		got, err := s.Get(ctx, pin, metadata.CopyGroup, partition(0), []string{"g", "missing", "f"})
		b.must("get", err)
		b.same("get", got, []metadata.Copy{group(0, "g", 5, "five"), group(0, "f", 9, "a b")})
		got, err = s.All(ctx, pin, metadata.CopyGroup, partition(0))
		b.must("all", err)
		b.same("all", got, []metadata.Copy{group(0, "f", 9, "a b"), group(0, "g", 5, "five")})
		got, err = s.All(ctx, pin, metadata.CopyOffset, partition(0))
		b.must("all", err)
		b.same("all", got, []metadata.Copy{offset})

		b.must("put lower", s.Put(ctx, pin, []metadata.Copy{group(0, "g", 4, "four"), group(0, "f", 10, "")}))
		got, err = s.All(ctx, pin, metadata.CopyGroup, partition(0))
		b.must("all", err)
		b.same("all", got, []metadata.Copy{group(0, "f", 10, ""), group(0, "g", 5, "five")})
		b.must("put twice in one call", s.Put(ctx, pin, []metadata.Copy{group(0, "g", 30, "thirty"), group(0, "g", 7, "seven"), group(0, "g", 30, "again")}))
		got, err = s.Get(ctx, pin, metadata.CopyGroup, partition(0), []string{"g"})
		b.must("get", err)
		b.same("get", got, []metadata.Copy{group(0, "g", 30, "again")})

		b.must("drop", s.Drop(ctx, pin, metadata.CopyGroup, partition(0)))
		got, err = s.All(ctx, pin, metadata.CopyGroup, partition(0))
		b.must("all", err)
		b.same("all after drop", len(got), 0)
		got, err = s.All(ctx, pin, metadata.CopyGroup, partition(1))
		b.must("all", err)
		b.same("all", got, []metadata.Copy{group(1, "g", 1, "other")})
		b.wantErr("put below 0", s.Put(ctx, pin, []metadata.Copy{group(0, "g", -1, "")}), metadata.ErrCopy)
	}},
	{"ManyCopies", func(b *bench) {
		pin := b.opened()
		var copies []metadata.Copy
		var keys []string
		for n := range 2500 {
			keys = append(keys, string(rune('a'+n%26))+string(rune('0'+n/26)))
			copies = append(copies, metadata.Copy{Kind: metadata.CopyProducer, Partition: partition(1), Key: keys[n], Position: topic.Offset(n), Value: []byte{byte(n)}})
		}
		b.must("put", b.store.Put(b.Context(), pin, copies))
		got, err := b.store.Get(b.Context(), pin, metadata.CopyProducer, partition(1), keys)
		b.must("get", err)
		b.same("get", got, copies)
	}},
	{"CopiesBelongToTheirEra", func(b *bench) {
		b.opened()
		two := b.loaded(2)
		c := metadata.Copy{Kind: metadata.CopyGroup, Partition: partition(0), Key: "g", Position: 3, Value: []byte("v")}
		b.must("put while it is built", b.store.Put(b.Context(), two, []metadata.Copy{c}))
		b.must("open", b.store.Open(b.Context(), two, 1, nil))
		got, err := b.store.All(b.Context(), two, metadata.CopyGroup, partition(0))
		b.must("all", err)
		b.same("all", got, []metadata.Copy{c})
	}},
}
