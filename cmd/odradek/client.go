package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/odradek/odradek/agent/ops"
)

// Time-outs of the client commands.
const (
	dialTimeout  = 3 * time.Second
	reachTimeout = 5 * time.Second  // until some broker has answered
	adminTimeout = 30 * time.Second // for a whole admin command
)

// bootstrapFlag adds --bootstrap to a command and to all below it.
func bootstrapFlag(cmd *cobra.Command, w world) *string {
	standard := ops.DefaultBootstrap
	if v := w.getenv("ODRADEK_BOOTSTRAP"); v != "" {
		standard = v
	}
	return cmd.PersistentFlags().String("bootstrap", standard, "brokers to ask first, `HOST:PORT[,…]` (ODRADEK_BOOTSTRAP)")
}

// connect makes a client of the brokers named and waits until one has answered. The caller closes it.
func connect(ctx context.Context, bootstrap string, warn io.Writer, opts ...kgo.Opt) (*kgo.Client, error) {
	seeds := strings.FieldsFunc(bootstrap, func(r rune) bool { return r == ',' || r == ' ' })
	if len(seeds) == 0 {
		return nil, usagef("--bootstrap: no broker named")
	}
	client, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(seeds...),
		kgo.ClientID("odradek-cli"),
		kgo.DialTimeout(dialTimeout),
		kgo.WithHooks(&unreachable{warn: warn}),
	}, opts...)...)
	if err != nil {
		return nil, usagef("%w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	if err := client.Ping(ctx); err != nil {
		client.Close()
		return nil, fmt.Errorf("no Kafka broker reachable at %s; is an agent running there? (%w)", bootstrap, oneLine(err))
	}
	return client, nil
}

// admin runs do with an admin client and a time limit.
func admin(cmd *cobra.Command, bootstrap string, do func(context.Context, *kadm.Client) error) error {
	ctx, cancel := context.WithTimeout(cmd.Context(), adminTimeout)
	defer cancel()
	client, err := connect(ctx, bootstrap, cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	defer client.Close()
	return do(ctx, kadm.NewClient(client))
}

// unreachable is a hook that warns once of each broker that the cluster advertises but that cannot be reached from
// here: the client itself tries again for ever and says nothing.
type unreachable struct {
	warn io.Writer

	mu     sync.Mutex
	warned map[string]bool // guarded by mu; by address
}

// OnBrokerConnect implements kgo.HookBrokerConnect. Seeds have negative ids and are reported by connect.
func (u *unreachable) OnBrokerConnect(meta kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	if err == nil || meta.NodeID < 0 || errors.Is(err, context.Canceled) || errors.Is(err, net.ErrClosed) {
		return
	}
	address := fmt.Sprintf("%s:%d", meta.Host, meta.Port)
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.warned[address] {
		return
	}
	if u.warned == nil {
		u.warned = map[string]bool{}
	}
	u.warned[address] = true
	fmt.Fprintf(u.warn, "odradek: cannot reach broker %d at %s, the address it advertises: %v\n",
		meta.NodeID, address, oneLine(err))
}

// oneLine keeps an error that may say much on one line.
func oneLine(err error) error {
	if !strings.Contains(err.Error(), "\n") {
		return err
	}
	return errors.New(strings.Join(strings.Fields(err.Error()), " "))
}

// codeName gives the name of a broker's error code, for a cell of a table.
func codeName(err error) string {
	var code *kerr.Error
	if errors.As(err, &code) {
		return code.Message
	}
	return err.Error()
}

// explain words an error of a broker: its code's name and what it means, or what the broker said besides.
func explain(err error, message string) error {
	if err != nil && message != "" {
		return fmt.Errorf("%w (%s)", err, message)
	}
	return err
}
