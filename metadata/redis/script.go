package redis

import (
	"context"
	"crypto/sha1"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	goredis "github.com/redis/go-redis/v9"

	"github.com/odradek/odradek/metadata"
)

//go:embed scripts/*.lua
var files embed.FS

// script is one file of scripts/, with pin.lua before it.
type script struct{ name, text, sha string }

func newScript(name string) script {
	pin, err := files.ReadFile("scripts/pin.lua")
	if err != nil {
		panic(err) // embedded by the compiler
	}
	own, err := files.ReadFile("scripts/" + name + ".lua")
	if err != nil {
		panic(err)
	}
	text := string(pin) + string(own)
	sum := sha1.Sum([]byte(text))
	return script{name, text, hex.EncodeToString(sum[:])}
}

var (
	indexScript    = newScript("index")
	segmentsScript = newScript("segments")
	endsScript     = newScript("ends")
	applyScript    = newScript("apply")
	appliedScript  = newScript("applied")
	forgetScript   = newScript("forget")
	currentScript  = newScript("current")
	reattachScript = newScript("reattach")
	beginScript    = newScript("begin")
	loadScript     = newScript("load")
	loadedScript   = newScript("loaded")
	progressScript = newScript("progress")
	openScript     = newScript("open")
	sweepScript    = newScript("sweep")
	registerScript = newScript("register")
	beatScript     = newScript("beat")
	countersScript = newScript("counters")
	removeScript   = newScript("remove")
	putScript      = newScript("put")
	getScript      = newScript("get")
	allScript      = newScript("all")
	dropScript     = newScript("drop")
)

// call is one run of a script: keys and arguments behind those of the pin.
type call struct {
	keys []string
	args []any
}

// run runs a script for the pin and returns what follows the status word in its reply.
func (s *Store) run(ctx context.Context, sc script, pin metadata.Pin, c call) ([]any, error) {
	replies, err := s.runAll(ctx, sc, pin, []call{c})
	if err != nil {
		return nil, err
	}
	return verdict(sc, replies[0])
}

// runAll runs a script several times in order, in one round trip, and returns the whole replies. After an error it is
// unknown which of them took effect.
func (s *Store) runAll(ctx context.Context, sc script, pin metadata.Pin, calls []call) ([][]any, error) {
	if pin.Era == 0 || pin.RunID == "" || pin.ReplicationID == "" {
		return nil, fmt.Errorf("redis %s: no era pinned: %w", sc.name, metadata.ErrEra)
	}
	for i, c := range calls {
		calls[i].keys = append([]string{s.keys.open(), s.keys.era(pin.Era)}, c.keys...)
		calls[i].args = append([]any{pin.Era, pin.RunID, pin.ReplicationID}, c.args...)
	}
	return s.eval(ctx, sc, calls)
}

// eval runs a script with exactly the given keys and arguments, loading it into Redis if it is not there.
func (s *Store) eval(ctx context.Context, sc script, calls []call) ([][]any, error) {
	if err := s.ready(ctx); err != nil {
		return nil, unfit(sc, err)
	}
	replies, err := s.evalOnce(ctx, sc, calls)
	if err != nil && goredis.HasErrorPrefix(err, "NOSCRIPT") {
		if err := s.client.ScriptLoad(ctx, sc.text).Err(); err != nil {
			return nil, fmt.Errorf("redis load %s: %w", sc.name, classify(err))
		}
		replies, err = s.evalOnce(ctx, sc, calls)
	}
	if err != nil {
		return nil, fmt.Errorf("redis %s: %w", sc.name, classify(err))
	}
	return replies, nil
}

// unfit makes a Redis that came back unfit one that is away: the agent goes on and says why.
func unfit(sc script, err error) error {
	if errors.Is(err, metadata.ErrUnavailable) {
		return fmt.Errorf("redis %s: %w", sc.name, err)
	}
	return fmt.Errorf("redis %s: %w: %w", sc.name, metadata.ErrUnavailable, err)
}

func (s *Store) evalOnce(ctx context.Context, sc script, calls []call) ([][]any, error) {
	pipe := s.client.Pipeline()
	for _, c := range calls {
		pipe.EvalSha(ctx, sc.sha, c.keys, c.args...)
	}
	cmds, err := pipe.Exec(ctx)
	if err != nil {
		return nil, err
	}
	replies := make([][]any, len(cmds))
	for i, cmd := range cmds {
		if replies[i], err = cmd.(*goredis.Cmd).Slice(); err != nil {
			return nil, err
		}
	}
	return replies, nil
}

// verdict splits the status word off a reply and turns it into an error where it is one.
func verdict(sc script, reply []any) ([]any, error) {
	if len(reply) == 0 {
		return nil, fmt.Errorf("redis %s: empty reply", sc.name)
	}
	switch word, _ := reply[0].(string); word {
	case "ok":
		return reply[1:], nil
	case "era":
		return nil, fmt.Errorf("redis %s: %w", sc.name, metadata.ErrEra)
	case "unloaded":
		return nil, fmt.Errorf("redis %s: %w", sc.name, metadata.ErrNotLoaded)
	case "unopened":
		return nil, fmt.Errorf("redis %s: %w", sc.name, metadata.ErrNotOpen)
	case "unregistered":
		return nil, fmt.Errorf("redis %s: %w", sc.name, metadata.ErrNotRegistered)
	case "unready":
		return reply[1:], fmt.Errorf("redis %s: %w", sc.name, metadata.ErrNotReady)
	case "turn":
		return reply[1:], fmt.Errorf("redis %s: %w", sc.name, metadata.ErrOutOfTurn)
	default:
		return nil, fmt.Errorf("redis %s: reply %q", sc.name, word)
	}
}

// refusals are the first words of Redis errors that say "not now" or "not here".
var refusals = []string{
	"LOADING", "READONLY", "OOM", "MISCONF", "BUSY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "NOREPLICAS", "UNKILLABLE",
	"MOVED", "ASK", "NOAUTH", "WRONGPASS", "NOPERM",
}

// classify tells a Redis that is away, or refuses work, from one that answers with an error of ours.
func classify(err error) error {
	var answer goredis.Error
	if !errors.As(err, &answer) {
		return fmt.Errorf("%w: %w", metadata.ErrUnavailable, err)
	}
	text := answer.Error()
	for _, word := range refusals {
		if strings.HasPrefix(text, word) {
			return fmt.Errorf("%w: %w", metadata.ErrUnavailable, err)
		}
	}
	if strings.HasPrefix(text, "ERR max number of clients") {
		return fmt.Errorf("%w: %w", metadata.ErrUnavailable, err)
	}
	return err
}
