package terraform

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// plans is where the tests of terraform's own language are.
const plans = "test/terraform/plans"

func TestFormat(t *testing.T) {
	t.Parallel()
	w := newWorkspace(t)
	if out, err := w.try(t.Context(), ".", "fmt", "-check", "-recursive", "-diff"); err != nil {
		t.Errorf("not as terraform fmt writes it: %v\n%s", err, out)
	}
}

// tested are the runs of plans/, made once for all tests.
var tested struct {
	once   sync.Once
	states map[string]state // by run, of those that applied
	passed map[string]bool
}

// examples gives the states of the examples, applied to a mock of the provider.
func examples(t *testing.T) map[string]state {
	t.Helper()
	tested.once.Do(func() {
		w := newWorkspace(t)
		w.run(t.Context(), t, plans, "init", "-no-color", "-input=false")
		out, err := w.try(t.Context(), plans, "test", "-json", "-verbose")
		if err != nil {
			t.Errorf("terraform test: %v", err)
		}
		tested.states, tested.passed = make(map[string]state), make(map[string]bool)
		for _, m := range messages(out) {
			if m.Type == "test_state" {
				tested.states[m.Run] = readState(t, append(append([]byte(`{"values":`), m.State...), '}'))
			}
			if m.Type == "test_run" && strings.HasSuffix(m.Message, "pass") {
				tested.passed[m.Run] = true
			}
		}
	})
	if len(tested.states) != 4 {
		t.Fatalf("%d examples were applied, want 4", len(tested.states))
	}
	return tested.states
}

func TestPlans_ExamplesApplyAndWrongValuesAreRefused(t *testing.T) {
	t.Parallel()
	examples(t)
	want := []string{
		"agents", "agents_otherwise", "agents_secret", "basic", "bucket", "ec2_ebs", "existing_vpc", "network", "own_redis", "redis",
	}
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(tested.passed))); diff != "" {
		t.Errorf("runs that passed (-want +got):\n%s", diff)
	}
}

func TestPlans_AllInOneAreValid(t *testing.T) {
	t.Parallel()
	w := newWorkspace(t)
	w.run(t.Context(), t, plans, "init", "-no-color", "-input=false")
	var said struct {
		Valid       bool
		Diagnostics []any
	}
	if err := json.Unmarshal([]byte(w.run(t.Context(), t, plans, "validate", "-json")), &said); err != nil {
		t.Fatal(err)
	}
	if !said.Valid || len(said.Diagnostics) > 0 {
		t.Errorf("valid %t: %v", said.Valid, said.Diagnostics)
	}
}

func TestPlans_TheBucketKeepsWhatCounts(t *testing.T) {
	t.Parallel()
	for name, s := range examples(t) {
		t.Run(name, func(t *testing.T) {
			bucketRules(t, s)
			block := s.one(t, "aws_s3_bucket_public_access_block.this").Values
			for _, what := range []string{"block_public_acls", "block_public_policy", "ignore_public_acls", "restrict_public_buckets"} {
				if block[what] != true {
					t.Errorf("%s is %v", what, block[what])
				}
			}
			encryption := s.one(t, "aws_s3_bucket_server_side_encryption_configuration.this").Values
			if got := at(encryption, "rule", 0, "apply_server_side_encryption_by_default", 0, "sse_algorithm"); got != "AES256" {
				t.Errorf("encrypted by %v", got)
			}
			expiring := 0
			rules, _ := s.one(t, "aws_s3_bucket_lifecycle_configuration.this").Values["rule"].([]any)
			for i := range rules {
				expires, _ := at(rules, i, "expiration").([]any)
				moves, _ := at(rules, i, "transition").([]any)
				if len(moves) > 0 {
					t.Errorf("a rule moves objects: %v", rules[i])
				}
				if len(expires) == 0 {
					continue
				}
				expiring++
				if prefix := at(rules, i, "filter", 0, "prefix"); prefix != "probe/" {
					t.Errorf("a rule expires objects under %q", prefix)
				}
			}
			if expiring != 1 || len(rules) != 2 {
				t.Errorf("%d of %d rules expire objects, want 1 of 2", expiring, len(rules))
			}
		})
	}
}

func TestPlans_RedisNeverEvictsAndFailsOver(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"basic", "existing_vpc", "ec2_ebs"} {
		s := examples(t)[name]
		group := s.one(t, "aws_elasticache_replication_group.this").Values
		for what, want := range map[string]any{
			"engine": "valkey", "multi_az_enabled": true, "automatic_failover_enabled": true, "transit_encryption_enabled": true,
			"transit_encryption_mode": "required", "at_rest_encryption_enabled": "true", "replicas_per_node_group": 1.0, "num_node_groups": 1.0,
		} {
			if group[what] != want {
				t.Errorf("%s: %s is %v, want %v", name, what, group[what], want)
			}
		}
		parameters := s.one(t, "aws_elasticache_parameter_group.this").Values["parameter"]
		if at(parameters, 0, "name") != "maxmemory-policy" || at(parameters, 0, "value") != "noeviction" {
			t.Errorf("%s: parameters %v", name, parameters)
		}
		if access := s.one(t, "aws_elasticache_user.default").text(t, "access_string"); !strings.HasPrefix(access, "off ") {
			t.Errorf("%s: the default user is %q", name, access)
		}
	}
	if groups := examples(t)["own_redis"].of("aws_elasticache_replication_group"); len(groups) > 0 {
		t.Errorf("own_redis makes a Redis: %v", groups)
	}
}

// container is the one of a task.
func container(t *testing.T, s state, task string) map[string]any {
	t.Helper()
	var all []map[string]any
	text := s.one(t, `aws_ecs_task_definition.this["`+task+`"]`).text(t, "container_definitions")
	if err := json.Unmarshal([]byte(text), &all); err != nil || len(all) != 1 {
		t.Fatalf("containers of %s: %s, %v", task, text, err)
	}
	return all[0]
}

// No secret is in the plan of a task, and what it writes besides the WAL is nothing.
func TestPlans_TasksHoldNoSecretAndHaveTimeToEnd(t *testing.T) {
	t.Parallel()
	for name, s := range examples(t) {
		tasks := []string{"agents", "compactor"}
		if name == "ec2_ebs" {
			tasks = tasks[1:]
		}
		for _, task := range tasks {
			c := container(t, s, task)
			if c["stopTimeout"] != 120.0 || c["readonlyRootFilesystem"] != true {
				t.Errorf("%s, %s: stopTimeout %v, readonlyRootFilesystem %v", name, task, c["stopTimeout"], c["readonlyRootFilesystem"])
			}
			if at(c, "secrets", 0, "name") != "ODRADEK_REDIS_PASSWORD" {
				t.Errorf("%s, %s: secrets %v", name, task, c["secrets"])
			}
			environment, _ := c["environment"].([]any)
			if len(environment) < 6 {
				t.Errorf("%s, %s: environment %v", name, task, environment)
			}
			for _, variable := range environment {
				if strings.Contains(strings.ToLower(at(variable, "name").(string)), "password") {
					t.Errorf("%s, %s: %v", name, task, variable)
				}
			}
		}
	}
}

// Out fast, in slowly, and never below what was asked for.
func TestPlans_PoolsGrowFastAndShrinkSlowly(t *testing.T) {
	t.Parallel()
	for name, s := range examples(t) {
		if name == "ec2_ebs" {
			group := s.one(t, "aws_autoscaling_group.agents[0]").Values
			if group["min_size"] != 3.0 || group["max_size"] != 12.0 || at(group, "initial_lifecycle_hook", 0, "heartbeat_timeout") != 180.0 {
				t.Errorf("group %v", group)
			}
			if n := len(s.of("aws_autoscaling_policy")); n != 2 {
				t.Errorf("%d policies", n)
			}
			volume := at(s.one(t, "aws_launch_template.agent[0]").Values, "block_device_mappings", 0, "ebs", 0)
			if at(volume, "encrypted") != "true" || at(volume, "delete_on_termination") != "false" {
				t.Errorf("volume %v", volume)
			}
			continue
		}
		policies := s.of("aws_appautoscaling_policy")
		for _, p := range policies {
			c := at(p.Values, "target_tracking_scaling_policy_configuration", 0)
			if at(c, "scale_out_cooldown") != 60.0 || at(c, "scale_in_cooldown") != 900.0 || at(c, "disable_scale_in") == true {
				t.Errorf("%s: %s: %v", name, p.Address, c)
			}
		}
		if len(policies) != 2 {
			t.Errorf("%s: %d policies", name, len(policies))
		}
		target := s.one(t, "aws_appautoscaling_target.agents[0]").Values
		if target["min_capacity"] != 3.0 || target["max_capacity"] != 12.0 {
			t.Errorf("%s: %v", name, target)
		}
	}
}
