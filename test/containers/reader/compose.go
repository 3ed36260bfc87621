package main

import (
	"context"

	"github.com/compose-spec/compose-go/v2/cli"
)

// readCompose loads a file as `docker compose` does, without the environment of this process and without a file .env.
func readCompose(file string) (any, error) {
	options, err := cli.NewProjectOptions([]string{file}, cli.WithName("odradek"), cli.WithInterpolation(true), cli.WithResolvedPaths(true))
	if err != nil {
		return nil, err
	}
	return options.LoadProject(context.Background())
}
