package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/odradek/odradek/agent/settings"
	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/metadata/redis"
	"github.com/odradek/odradek/objectstore/bucket"
)

// reached opens the Redis that a command was told of, and names it for people. Without one the store is nil. A Redis
// that is away is no error here: what is asked of it says so.
type reached func(ctx context.Context) (metadata.Store, string, error)

// redisSettings are the agent's settings that say which Redis.
var redisSettings = []string{"redis", "redis-password-file", "cluster"}

// redisFlags adds --redis and what belongs to it to a command and to all below it. They are read as the agent reads its
// own, the password too.
func redisFlags(cmd *cobra.Command, w world) reached {
	given := cmd.PersistentFlags()
	given.String("redis", "", "where the index lives, `URL`: redis://host:port or rediss://host:port (ODRADEK_REDIS; default none)")
	given.String("redis-password-file", "", "`FILE` that holds the Redis password (or set ODRADEK_REDIS_PASSWORD)")
	given.String("cluster", "", "`NAME` that the agents were given (ODRADEK_CLUSTER; default theirs)")
	return func(ctx context.Context) (metadata.Store, string, error) {
		s, err := redisAt(given, w)
		if err != nil || s.Stores.Redis == settings.RedisEmbedded {
			return nil, "", err
		}
		name, err := indexName(ctx, given, w, s.Cluster)
		if err != nil {
			return nil, "", err
		}
		store, err := redis.Open(ctx, redis.Config{
			URL: s.Stores.Redis, Password: s.Stores.RedisPassword.Reveal(), Cluster: name, Log: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			return nil, "", fmt.Errorf("redis %s: %w", s.Stores.Redis, oneLine(err))
		}
		return store, s.Stores.Redis, nil
	}
}

// indexName is the name of the cluster's index in Redis: a fork has one of its own, by what its bucket says.
func indexName(ctx context.Context, given *pflag.FlagSet, w world, cluster string) (string, error) {
	flag := given.Lookup("bucket")
	if flag == nil {
		return cluster, nil
	}
	at, err := bucketURL(flag.Value.String(), w)
	if err != nil {
		return "", err
	}
	store, _, err := bucket.OpenToRead(ctx, at)
	if err != nil {
		return "", err
	}
	heir, err := inherit(ctx, at, store)
	if err != nil {
		return "", err
	}
	return heir.IndexName(cluster), nil
}

// redisAt gives the settings of an agent with these flags and this environment, as far as they are about Redis.
func redisAt(given *pflag.FlagSet, w world) (settings.Settings, error) {
	flags := pflag.NewFlagSet("redis", pflag.ContinueOnError)
	settings.AddFlags(flags)
	var environ []string
	for _, name := range redisSettings {
		if value := given.Lookup(name).Value.String(); value != "" {
			if err := flags.Set(name, value); err != nil {
				return settings.Settings{}, usagef("--%s: %w", name, err)
			}
		}
	}
	variables := []string{"ODRADEK_REDIS", "ODRADEK_REDIS_PASSWORD", "ODRADEK_REDIS_PASSWORD_FILE", "ODRADEK_CLUSTER"}
	for _, entry := range w.environ {
		if name, _, _ := strings.Cut(entry, "="); slices.Contains(variables, name) {
			environ = append(environ, entry)
		}
	}
	return settings.Load(settings.Sources{Flags: flags, Environ: environ})
}

// away words an error of Redis in one line, and says first what it means.
func away(err error) string {
	text := oneLine(err).Error()
	if !errors.Is(err, metadata.ErrUnavailable) {
		return text
	}
	if _, why, ok := strings.Cut(text, metadata.ErrUnavailable.Error()+": "); ok {
		text = why
	}
	return "away: " + text
}
