package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/odradek/odradek/agent/cluster"
	"github.com/odradek/odradek/agent/settings"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/objectstore/bucket"
	"github.com/odradek/odradek/slotlog"
)

// opened opens the bucket that a storage command was told of, to read only, and describes it for people.
type opened func(ctx context.Context) (objectstore.Store, string, error)

// bucketFlag adds --bucket to a command and to all below it. It is read as the agent reads its own.
func bucketFlag(cmd *cobra.Command, w world) opened {
	url := cmd.PersistentFlags().String("bucket", "",
		"where the bucket is, `URL`: file:///dir, s3://…, minio://… (ODRADEK_BUCKET; default the agent's)")
	return func(ctx context.Context) (objectstore.Store, string, error) {
		at, err := bucketURL(*url, w)
		if err != nil {
			return nil, "", err
		}
		store, d, err := bucket.OpenToRead(ctx, at)
		if err != nil {
			return nil, "", err
		}
		heir, err := inherit(ctx, at, store)
		if err != nil {
			return nil, "", err
		}
		return heir, d.Text, nil
	}
}

// inherit gives the store of a cluster that may be a fork. A control/0 that is no fork's, whatever else it is, is for the
// command to find.
func inherit(ctx context.Context, url string, store objectstore.Store) (*cluster.Heir, error) {
	heir := cluster.NewHeir(store, places(url, bucket.OpenToRead))
	err := heir.Learn(ctx)
	for _, found := range []error{cluster.ErrEnded, control.ErrCorrupt, control.ErrUnknownRecord, slotlog.ErrCorrupt} {
		if errors.Is(err, found) {
			err = nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("read control/0: %w", oneLine(err))
	}
	return heir, nil
}

// places opens other places of the bucket of a URL.
func places(url string, open func(context.Context, string) (objectstore.Store, bucket.Description, error)) cluster.OpenPlace {
	return func(ctx context.Context, place string) (objectstore.Store, error) {
		at, err := bucket.At(url, place)
		if err != nil {
			return nil, err
		}
		store, _, err := open(ctx, at)
		return store, err
	}
}

// bucketURL gives the URL of the bucket that an agent would use with this flag and environment.
func bucketURL(flag string, w world) (string, error) {
	flags := pflag.NewFlagSet("storage", pflag.ContinueOnError)
	settings.AddFlags(flags)
	if flag != "" {
		if err := flags.Set("bucket", flag); err != nil {
			return "", usagef("--bucket: %w", err)
		}
	}
	var environ []string
	for _, entry := range w.environ {
		if name, _, _ := strings.Cut(entry, "="); name == "ODRADEK_BUCKET" || name == "ODRADEK_DATA_DIR" {
			environ = append(environ, entry)
		}
	}
	s, err := settings.Load(settings.Sources{Flags: flags, Environ: environ})
	if err != nil {
		return "", err
	}
	return s.Stores.Bucket, nil
}

// printJSON prints a value for programs.
func printJSON(out io.Writer, v any) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// size words a number of bytes for people.
func size(n int64) string {
	value, unit := float64(n), ""
	for _, unit = range []string{"B", "KiB", "MiB", "GiB", "TiB"} {
		if value < 1024 || unit == "TiB" {
			break
		}
		value /= 1024
	}
	if unit == "B" {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", value, unit)
}
