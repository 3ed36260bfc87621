package terraform

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/odradek/odradek/test/harness"
)

// workspace is a copy of what is tested, so that nothing is left in the repository.
type workspace struct {
	dir  string // has terraform/ and test/terraform/plans/ below it
	conf string // configuration of the command line
}

func newWorkspace(t *testing.T) workspace {
	t.Helper()
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	w := workspace{dir: harness.TempDir(t)}
	for _, part := range []string{"terraform", "test/terraform/plans"} {
		if err := os.CopyFS(filepath.Join(w.dir, part), os.DirFS(filepath.Join(root, part))); err != nil {
			t.Fatal(err)
		}
	}
	w.conf = filepath.Join(w.dir, "terraformrc")
	if err := os.WriteFile(w.conf, []byte(installation()), 0o600); err != nil {
		t.Fatal(err)
	}
	return w
}

// installation says where the provider comes from: a mirror on this machine, if one is found, else its registry.
func installation() string {
	home, _ := os.UserHomeDir()
	places := []string{os.Getenv("ODRADEK_TEST_TERRAFORM_MIRROR"), filepath.Join(home, ".terraform.d/plugins")}
	for _, pattern := range []string{"/usr/share/terraform*", "/usr/local/share/terraform/plugins", "/opt/*"} {
		found, _ := filepath.Glob(pattern)
		places = append(places, found...)
	}
	for _, place := range places {
		if place == "" {
			continue
		}
		if _, err := os.Stat(filepath.Join(place, "registry.terraform.io/hashicorp/aws")); err == nil {
			return fmt.Sprintf("provider_installation {\n  filesystem_mirror {\n    path = %q\n  }\n}\n", place)
		}
	}
	return ""
}

// run runs terraform in a directory of the workspace and gives what it printed on standard output. It fails the test
// with what terraform said, if that does not succeed.
func (w workspace) run(ctx context.Context, t *testing.T, in string, args ...string) string {
	t.Helper()
	out, err := w.try(ctx, in, args...)
	if err != nil {
		t.Fatalf("terraform %s in %s: %v", strings.Join(args, " "), in, err)
	}
	return out
}

// try is run for who wants the error.
func (w workspace) try(ctx context.Context, in string, args ...string) (string, error) {
	path, err := exec.LookPath("terraform")
	if err != nil {
		return "", errors.New("not in PATH; get it from https://developer.hashicorp.com/terraform/install, 1.9 or later")
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir = filepath.Join(w.dir, in)
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "TF_") || strings.HasPrefix(v, "AWS_")
	}), "TF_CLI_CONFIG_FILE="+w.conf, "CHECKPOINT_DISABLE=1", "TF_IN_AUTOMATION=1", "AWS_EC2_METADATA_DISABLED=true")
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%w\n%s\n%s", err, complaints(out.String()), said.String())
	}
	return out.String(), nil
}

// message is a line of terraform's JSON output.
type message struct {
	Level      string          `json:"@level"`
	Message    string          `json:"@message"`
	Run        string          `json:"@testrun"`
	Type       string          `json:"type"`
	State      json.RawMessage `json:"test_state"`
	Diagnostic struct {
		Summary string
		Detail  string
		Range   struct {
			Filename string
			Start    struct{ Line int }
		}
	} `json:"diagnostic"`
}

func messages(out string) []message {
	var all []message
	for line := range strings.Lines(out) {
		var m message
		if json.Unmarshal([]byte(line), &m) == nil && m.Message != "" {
			all = append(all, m)
		}
	}
	return all
}

// complaints gives the errors among the lines, or all of it where those are no messages.
func complaints(out string) string {
	var s strings.Builder
	for _, m := range messages(out) {
		if m.Level == "error" {
			d := m.Diagnostic
			fmt.Fprintf(&s, "%s %s %s (%s:%d)\n", m.Run, m.Message, d.Detail, d.Range.Filename, d.Range.Start.Line)
		}
	}
	if s.Len() == 0 {
		return out
	}
	return s.String()
}

// resource is one of a state.
type resource struct {
	Address string
	Mode    string
	Type    string
	Name    string
	Index   any
	Values  map[string]any
}

// state is what terraform knows after an apply.
type state struct {
	resources []resource
	outputs   map[string]any
}

// readState reads what `terraform show -json` prints.
func readState(t *testing.T, text []byte) state {
	t.Helper()
	type module struct {
		Resources    []resource
		ChildModules []json.RawMessage `json:"child_modules"`
	}
	var root struct {
		Values struct {
			Outputs map[string]struct{ Value any }
			Root    json.RawMessage `json:"root_module"`
		}
	}
	if err := json.Unmarshal(text, &root); err != nil {
		t.Fatal(err)
	}
	s := state{outputs: make(map[string]any)}
	for name, o := range root.Values.Outputs {
		s.outputs[name] = o.Value
	}
	for todo := []json.RawMessage{root.Values.Root}; len(todo) > 0; {
		var m module
		if err := json.Unmarshal(todo[0], &m); err != nil {
			t.Fatal(err)
		}
		s.resources = append(s.resources, m.Resources...)
		todo = append(todo[1:], m.ChildModules...)
	}
	if len(s.resources) == 0 {
		t.Fatal("the state is empty")
	}
	return s
}

// of lists the resources of a type.
func (s state) of(kind string) []resource {
	var all []resource
	for _, r := range s.resources {
		if r.Type == kind && r.Mode == "managed" {
			all = append(all, r)
		}
	}
	return all
}

// one gives the resource that an address ends with.
func (s state) one(t *testing.T, address string) resource {
	t.Helper()
	var found []resource
	for _, r := range s.resources {
		if strings.HasSuffix(r.Address, address) {
			found = append(found, r)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d resources %s", len(found), address)
	}
	return found[0]
}

// text is an attribute of a resource that is a text.
func (r resource) text(t *testing.T, name string) string {
	t.Helper()
	value, ok := r.Values[name].(string)
	if !ok {
		t.Fatalf("%s has no text %s: %v", r.Address, name, r.Values[name])
	}
	return value
}

// at follows names and numbers into a value; nil where there is nothing.
func at(value any, path ...any) any {
	for _, step := range path {
		switch step := step.(type) {
		case string:
			members, _ := value.(map[string]any)
			value = members[step]
		case int:
			items, _ := value.([]any)
			if step >= len(items) {
				return nil
			}
			value = items[step]
		}
	}
	return value
}
