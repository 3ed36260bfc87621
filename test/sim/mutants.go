package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// mutant is a patch that breaks one rule of the protocol.
type mutant struct {
	path string
	rule string // its first line
}

func (m mutant) name() string { return strings.TrimSuffix(filepath.Base(m.path), ".patch") }

// hunt applies mutants one by one to a copy of the tree and runs seeds until each is found. It says whether all were.
func hunt(ctx context.Context, args []string) (clean bool, err error) {
	f := flag.NewFlagSet("sim mutants", flag.ExitOnError)
	first := f.Uint64("seed", 1, "the first seed of each")
	limit := f.Duration("limit", 2*time.Minute, "for one mutant to be found")
	jobs := f.Int("jobs", runtime.NumCPU(), "processes at a time")
	pick := f.Int("pick", 0, "only so many, chosen by -by")
	by := f.String("by", "", "what -pick chooses by, a commit's hash")
	only := f.String("only", "", "only those whose names contain this")
	none := f.Uint64("none", 20, "seeds that must pass without a mutant")
	if err := f.Parse(args); err != nil {
		return false, err
	}
	root, err := moduleRoot()
	if err != nil {
		return false, err
	}
	all, err := mutants(filepath.Join(root, "test", "sim", "mutants"))
	if err != nil {
		return false, err
	}
	all = slices.DeleteFunc(all, func(m mutant) bool { return !strings.Contains(m.name(), *only) })
	if *pick > 0 {
		all = choose(all, *pick, *by)
	}
	dir, remove, err := workspace()
	if err != nil {
		return false, err
	}
	defer remove()
	h := &hunter{root: root, dir: dir, first: *first, jobs: *jobs, limit: *limit}
	if err := h.copyTree(ctx); err != nil {
		return false, err
	}
	clean = true
	if *none > 0 {
		if clean, err = h.unharmed(ctx, *none); err != nil {
			return false, err
		}
	}
	began, missed := time.Now(), 0
	for _, m := range all {
		found, err := h.find(ctx, m)
		if err != nil {
			return false, err
		}
		if !found {
			missed++
		}
	}
	fmt.Printf("\n%d of %d mutants found in %.0f s\n", len(all)-missed, len(all), time.Since(began).Seconds())
	return clean && missed == 0, nil
}

// mutants lists the patches of a directory by name.
func mutants(dir string) ([]mutant, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.patch"))
	if err != nil {
		return nil, err
	}
	slices.Sort(paths)
	var out []mutant
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		line, err := bufio.NewReader(f).ReadString('\n')
		f.Close()
		if err != nil || strings.HasPrefix(line, "diff ") || strings.HasPrefix(line, "---") {
			return nil, fmt.Errorf("%s: the first line must say which rule it breaks", path)
		}
		out = append(out, mutant{path, strings.TrimSpace(line)})
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("no mutants in %s", dir)
	}
	return out, nil
}

// choose picks n, others for another word.
func choose(all []mutant, n int, by string) []mutant {
	ranked := slices.Clone(all)
	score := func(m mutant) uint64 {
		h := sha256.Sum256([]byte(by + "\x00" + m.name()))
		return binary.BigEndian.Uint64(h[:])
	}
	slices.SortFunc(ranked, func(a, b mutant) int {
		if score(a) < score(b) {
			return -1
		}
		return 1
	})
	return ranked[:min(n, len(ranked))]
}

// hunter has a copy of the tree to break.
type hunter struct {
	root, dir string
	first     uint64
	jobs      int
	limit     time.Duration
}

func (h *hunter) tree() string { return filepath.Join(h.dir, "tree") }

// copyTree copies what git knows of the tree, as it stands on the disk.
func (h *hunter) copyTree(ctx context.Context) error {
	list, err := h.git(ctx, h.root, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	if err != nil {
		return err
	}
	for name := range strings.SplitSeq(strings.TrimRight(list, "\x00"), "\x00") {
		b, err := os.ReadFile(filepath.Join(h.root, name))
		if errors.Is(err, os.ErrNotExist) {
			continue // deleted and not committed
		}
		if err != nil {
			return err
		}
		to := filepath.Join(h.tree(), name)
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(to, b, 0o600); err != nil {
			return err
		}
	}
	_, err = h.git(ctx, h.tree(), "init", "-q")
	return err
}

func (h *hunter) git(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = dir
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("%w: %s", err, exit.Stderr)
	}
	if err != nil {
		return "", fmt.Errorf("git %s: %w", args[0], err)
	}
	return string(out), nil
}

// unharmed runs seeds without any mutant.
func (h *hunter) unharmed(ctx context.Context, seeds uint64) (clean bool, err error) {
	p, err := build(ctx, h.tree(), filepath.Join(h.dir, "agent.test"))
	if err != nil {
		return false, err
	}
	t := p.run(ctx, plan{first: h.first, count: seeds, block: blockSize, jobs: h.jobs}, h.dir)
	fmt.Printf("without a mutant: %s\n", t.line())
	for _, s := range t.wrong {
		fmt.Printf("  seed %d: %s\n", s.Seed, s.Wrong[0])
	}
	return len(t.wrong) == 0, nil
}

// find applies a mutant, runs seeds until one finds it, and takes it away again.
func (h *hunter) find(ctx context.Context, m mutant) (found bool, err error) {
	if _, err := h.git(ctx, h.tree(), "apply", m.path); err != nil {
		fmt.Printf("%-28s DOES NOT FIT the tree: %v\n", m.name(), err)
		return false, ctx.Err()
	}
	defer func() {
		if _, rerr := h.git(context.WithoutCancel(ctx), h.tree(), "apply", "-R", m.path); rerr != nil && err == nil {
			err = rerr
		}
	}()
	p, err := build(ctx, h.tree(), filepath.Join(h.dir, "mutant.test"))
	if err != nil {
		return false, fmt.Errorf("%s: %w", m.name(), err)
	}
	began := time.Now()
	t := p.run(ctx, plan{
		first: h.first, until: began.Add(h.limit), block: blockSize, jobs: h.jobs, stop: func(s told) bool { return len(s.Wrong) > 0 },
	}, h.dir)
	took := time.Since(began).Seconds()
	if len(t.wrong) == 0 {
		fmt.Printf("%-28s MISSED in %.1f s, %d seeds: %s\n", m.name(), took, t.seeds, m.rule)
		return false, ctx.Err()
	}
	w := t.wrong[0]
	fmt.Printf("%-28s found in %.1f s, %d seeds, by seed %d: %s\n    %s\n", m.name(), took, t.seeds, w.Seed, m.rule, head(w.Wrong[0], 160))
	return true, nil
}
