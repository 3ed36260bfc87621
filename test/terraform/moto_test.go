package terraform

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/odradek/odradek/test/harness"
)

// services are those that the provider talks to here, by its names for them.
var services = []string{
	"applicationautoscaling", "autoscaling", "cloudwatch", "cloudwatchlogs", "ec2", "ecs", "elasticache", "elbv2", "iam", "s3",
	"secretsmanager", "servicediscovery", "ssm", "sts",
}

// startMoto serves AWS' APIs until the test ends, and gives the address.
func startMoto(t *testing.T) string {
	t.Helper()
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	prefetch := exec.CommandContext(t.Context(), "bash", filepath.Join(root, "test/terraform/prefetch.sh"))
	if out, err := prefetch.CombinedOutput(); err != nil {
		t.Fatalf("prefetch.sh: %v\n%s", err, out)
	}
	address := harness.FreeAddr(t)
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(harness.TempDir(t), "moto.log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	cmd := exec.Command(filepath.Join(root, ".cache/terraform/venv/bin/python"), "server.py", port)
	cmd.Dir = filepath.Join(root, "test/terraform/moto")
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() { cmd.Wait(); close(exited) }()
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-exited:
		case <-time.After(5 * time.Second):
			cmd.Process.Kill()
			<-exited
		}
	})
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(200 * time.Millisecond) {
		if answer, err := http.Get("http://" + address + "/moto-api/"); err == nil {
			answer.Body.Close()
			return address
		}
		select {
		case <-exited:
			t.Fatalf("moto ended: %s", tail(log.Name()))
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("moto does not answer: %s", tail(log.Name()))
		}
	}
}

// tail is the end of a file, for people.
func tail(path string) string {
	text, _ := os.ReadFile(path)
	return string(text[max(0, len(text)-4000):])
}

// provider is the provider's configuration for moto, over that of an example.
func provider(address string) string {
	var s strings.Builder
	s.WriteString(`provider "aws" {
  region                      = "eu-central-1"
  access_key                  = "test"
  secret_key                  = "test"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  s3_use_path_style           = true

  endpoints {
`)
	for _, service := range services {
		fmt.Fprintf(&s, "    %s = \"http://%s\"\n", service, address)
	}
	s.WriteString("  }\n}\n")
	return s.String()
}

// onInstances puts a pool on instances beside that of the example, in a VPC of its own without NAT gateways: moto has one
// private zone of names in each.
const onInstances = `
module "other_network" {
  source = "../../modules/network"

  name  = "odradek-ec2"
  cidr  = "10.43.0.0/16"
  zones = ["eu-central-1a", "eu-central-1b"]
  nat   = "none"
}

module "instances" {
  source = "../../modules/agents"

  name       = "odradek-ec2"
  launch     = "ec2"
  ami_id     = "ami-12c6146b"
  image      = var.image
  vpc_id     = module.other_network.vpc_id
  subnet_ids = module.other_network.subnet_ids

  assign_public_ip = module.other_network.assign_public_ip

  bucket     = module.bucket.bucket
  redis      = { url = var.redis_url }
  agents     = { min = 2, max = 4 }
}

resource "aws_secretsmanager_secret" "redis" {
  name = "own-redis"
}
`

// Everything but ElastiCache, of which moto has only a part, is made and unmade by the real provider.
func TestMoto_WhatIsAppliedIsDestroyed(t *testing.T) {
	t.Parallel()
	address := startMoto(t)
	w := newWorkspace(t)
	const example = "terraform/examples/own-redis"
	for name, text := range map[string]string{
		"moto_override.tf": provider(address),
		"instances.tf":     onInstances,
		"terraform.tfvars": "bucket = \"example-odradek\"\nimage = \"example.org/odradek:1.0.0\"\nredis_url = \"redis://redis.internal:6379\"\n" +
			"admin_role_arns = [\"arn:aws:iam::123456789012:role/admin\"]\n",
	} {
		if err := os.WriteFile(filepath.Join(w.dir, example, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithTimeout(t.Context(), 15*time.Minute)
	defer stop()
	w.run(ctx, t, example, "init", "-no-color", "-input=false")
	w.run(ctx, t, example, "apply", "-json", "-auto-approve", "-input=false", "-parallelism=30")

	s := readState(t, []byte(w.run(ctx, t, example, "show", "-json")))
	if bootstrap, _ := s.outputs["bootstrap"].(string); !strings.HasSuffix(bootstrap, ":9092") {
		t.Errorf("bootstrap address %q", bootstrap)
	}
	if names := at(s.outputs["metrics"], "names"); at(names, 0) != "agents.odradek.internal" || at(names, 1) != "compactor.odradek.internal" {
		t.Errorf("metrics at %v", names)
	}
	for kind, want := range map[string]int{
		"aws_ecs_service": 3, "aws_appautoscaling_policy": 2, "aws_autoscaling_policy": 2, "aws_autoscaling_group": 1, "aws_subnet": 6,
		"aws_lb": 2, "aws_s3_bucket_policy": 1, "aws_cloudwatch_metric_alarm": 12, "aws_vpc_endpoint": 2, "aws_iam_role": 6,
	} {
		if got := len(s.of(kind)); got != want {
			t.Errorf("%d of %s, want %d", got, kind, want)
		}
	}
	// What AWS would hold, and not only what terraform thinks of.
	if got := asked(t, address, "/example-odradek?policy"); !strings.Contains(got, "SlotsAreOnlyCreated") {
		t.Errorf("the bucket's policy is %s", got)
	}

	w.run(ctx, t, example, "destroy", "-json", "-auto-approve", "-input=false", "-refresh=false", "-parallelism=30")
	if left := strings.TrimSpace(w.run(ctx, t, example, "state", "list")); left != "" {
		t.Errorf("left after destroy:\n%s", left)
	}
	if got := asked(t, address, "/example-odradek?policy"); !strings.Contains(got, "NoSuchBucket") {
		t.Errorf("after destroy the bucket answers %s", got)
	}
}

// asked sends moto's S3 a request that nobody signed.
func asked(t *testing.T, address, path string) string {
	t.Helper()
	answer, err := http.Get("http://" + address + path)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
