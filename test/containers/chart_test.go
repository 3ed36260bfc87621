package containers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/odradek/odradek/agent/settings"
	"github.com/odradek/odradek/test/harness"
	"github.com/odradek/odradek/topic"
)

const chart = top + "/examples/helm/odradek"

// helm runs it as Kubernetes 1.30 would have it, and gives what it printed and whether it succeeded.
func helm(t *testing.T, args ...string) (string, error) {
	t.Helper()
	program, err := exec.LookPath("helm")
	if err != nil {
		if program, err = filepath.Abs(filepath.Join(top, ".cache", "bin", "helm")); err == nil {
			_, err = os.Stat(program)
		}
	}
	if err != nil {
		t.Fatalf("helm is neither in PATH nor in .cache/bin: type `make deps`: %v", err)
	}
	dir := harness.TempDir(t)
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Env = append(os.Environ(), "HELM_CACHE_HOME="+dir, "HELM_CONFIG_HOME="+dir, "HELM_DATA_HOME="+dir)
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("helm %s: %w\n%s%s", strings.Join(args, " "), err, &out, &problems)
	}
	return out.String(), nil
}

// needed are the values that have no default.
var needed = []string{
	"image.repository=registry.example/odradek", "image.tag=v0.1.0", "bucket=s3://records/prod?region=eu-central-1", "redis.url=redis://redis:6379",
}

// flags makes --set flags of assignments; helm takes JSON after --set-json.
func flags(assignments []string) (list []string) {
	for _, a := range assignments {
		if name, value, _ := strings.Cut(a, "="); strings.HasPrefix(value, "{") || strings.HasPrefix(value, "[") {
			list = append(list, "--set-json", name+"="+value)
		} else {
			list = append(list, "--set", a)
		}
	}
	return list
}

// manifest is what is looked at of every kind, after the types of Kubernetes have taken all of it.
type manifest struct {
	Kind       string
	APIVersion string
	Metadata   struct {
		Name   string
		Labels map[string]string
	}
	Spec json.RawMessage
}

// render gives the manifests of a release. Each was decoded into its type, which refuses what it does not know.
func render(t *testing.T, release string, assignments ...string) map[string]manifest {
	t.Helper()
	text, err := helm(t, slices.Concat([]string{"template", release, chart, "--kube-version", "1.30.0"}, flags(slices.Concat(needed, assignments)))...)
	if err != nil {
		t.Fatal(err)
	}
	var list []manifest
	if err := json.Unmarshal(read(t, text, "manifests"), &list); err != nil {
		t.Fatal(err)
	}
	byName := make(map[string]manifest)
	for _, m := range list {
		name := m.Kind + " " + m.Metadata.Name
		if _, twice := byName[name]; twice {
			t.Errorf("%s is rendered twice", name)
		}
		byName[name] = m
	}
	return byName
}

// spec decodes a manifest's spec, as far as it is looked at.
func spec[T any](t *testing.T, all map[string]manifest, name string) (s T) {
	t.Helper()
	m, ok := all[name]
	if !ok {
		t.Fatalf("no %s among %v", name, names(all))
	}
	if err := json.Unmarshal(m.Spec, &s); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return s
}

func names(all map[string]manifest) (list []string) {
	for name := range all {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

type labels map[string]string

type selector struct{ MatchLabels labels }

// picks tells whether a selector picks what has these labels.
func (s labels) picks(l labels) bool {
	for k, v := range s {
		if l[k] != v {
			return false
		}
	}
	return len(s) > 0
}

type deployment struct {
	Replicas *int
	Selector selector
	Template struct {
		Metadata struct{ Labels labels }
		Spec     pod
	}
}

type pod struct {
	TerminationGracePeriodSeconds int
	AutomountServiceAccountToken  *bool
	EnableServiceLinks            *bool
	SecurityContext               struct {
		RunAsNonRoot *bool
		RunAsUser    *int
		FSGroup      *int
	}
	Containers []container
	Volumes    []struct {
		Name     string
		EmptyDir *struct{ SizeLimit string }
	}
}

type container struct {
	Image   string
	Args    []string
	Env     []variable
	EnvFrom []struct{ SecretRef struct{ Name string } }
	Ports   []struct {
		Name          string
		ContainerPort int
	}
	LivenessProbe, ReadinessProbe struct {
		HTTPGet struct {
			Path string
			Port any
		}
	}
	SecurityContext struct {
		AllowPrivilegeEscalation, ReadOnlyRootFilesystem *bool
		Capabilities                                     struct{ Drop []string }
	}
	VolumeMounts []struct{ Name, MountPath string }
}

type variable struct {
	Name, Value string
	ValueFrom   *struct {
		FieldRef     *struct{ FieldPath string }
		SecretKeyRef *struct{ Name, Key string }
	}
}

func is(b *bool, want bool) bool { return b != nil && *b == want }

func TestChart_Lints(t *testing.T) {
	if out, err := helm(t, append([]string{"lint", "--strict", chart}, flags(needed)...)...); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// The agents of the chart are shut in as those of compose.yaml are, and give their partitions away before they go.
func TestChart_AgentsAreShutIn(t *testing.T) {
	all := render(t, "prod")
	d := spec[deployment](t, all, "Deployment prod-odradek")
	p := d.Template.Spec
	if len(p.Containers) != 1 {
		t.Fatalf("%d containers", len(p.Containers))
	}
	c := p.Containers[0]
	env, command := imageEnv(t)
	for what, right := range map[string]bool{
		"image":              c.Image == "registry.example/odradek:v0.1.0",
		"arguments":          slices.Equal(append([]string{"/odradek"}, c.Args...), command),
		"user":               is(p.SecurityContext.RunAsNonRoot, true) && *p.SecurityContext.RunAsUser == 65532 && *p.SecurityContext.FSGroup == 65532,
		"read-only root":     is(c.SecurityContext.ReadOnlyRootFilesystem, true),
		"no escalation":      is(c.SecurityContext.AllowPrivilegeEscalation, false),
		"capabilities":       slices.Equal(c.SecurityContext.Capabilities.Drop, []string{"ALL"}),
		"no token":           is(p.AutomountServiceAccountToken, false),
		"no service links":   is(p.EnableServiceLinks, false),
		"time to stop":       p.TerminationGracePeriodSeconds == 120,
		"liveness":           c.LivenessProbe.HTTPGet.Path == "/livez" && c.LivenessProbe.HTTPGet.Port == "http",
		"readiness":          c.ReadinessProbe.HTTPGet.Path == "/readyz" && c.ReadinessProbe.HTTPGet.Port == "http",
		"a place to write":   len(p.Volumes) == 1 && p.Volumes[0].EmptyDir != nil && len(c.VolumeMounts) == 1 && c.VolumeMounts[0].Name == p.Volumes[0].Name && c.VolumeMounts[0].MountPath == env["ODRADEK_DATA_DIR"],
		"no size of its own": d.Replicas == nil, // or each upgrade would undo what the autoscaler did
	} {
		if !right {
			t.Errorf("%s is wrong in %+v", what, p)
		}
	}
}

// What picks agents picks those of this release and no others, and ports have the names that are asked for.
func TestChart_PartsFitTogether(t *testing.T) {
	all := render(t, "prod", "monitoring.enabled=true", "monitoring.labels.release=prometheus")
	d := spec[deployment](t, all, "Deployment prod-odradek")
	pod, ports := d.Template.Metadata.Labels, make(map[string]int)
	for _, p := range d.Template.Spec.Containers[0].Ports {
		ports[p.Name] = p.ContainerPort
	}
	env := make(map[string]string)
	for _, v := range d.Template.Spec.Containers[0].Env {
		env[v.Name] = v.Value
	}
	if env["ODRADEK_LISTEN"] != fmt.Sprintf(":%d", ports["kafka"]) || env["ODRADEK_HTTP"] != fmt.Sprintf(":%d", ports["http"]) {
		t.Errorf("the agent listens at %s and %s; ports are %v", env["ODRADEK_LISTEN"], env["ODRADEK_HTTP"], ports)
	}
	other := spec[deployment](t, render(t, "test"), "Deployment test-odradek").Template.Metadata.Labels

	type service struct {
		Selector                 labels
		ClusterIP                string
		PublishNotReadyAddresses bool
		Ports                    []struct {
			Name, TargetPort string
			Port             int
		}
	}
	pick := map[string]labels{"the Deployment": d.Selector.MatchLabels}
	for _, name := range []string{"prod-odradek", "prod-odradek-agents"} {
		s := spec[service](t, all, "Service "+name)
		pick["Service "+name] = s.Selector
		for _, p := range s.Ports {
			if ports[p.TargetPort] != p.Port {
				t.Errorf("Service %s: port %d leads to %s, which is %d", name, p.Port, p.TargetPort, ports[p.TargetPort])
			}
		}
		if headless := strings.HasSuffix(name, "-agents"); headless != (s.ClusterIP == "None") || headless != s.PublishNotReadyAddresses {
			t.Errorf("Service %s: %+v", name, s)
		}
	}
	pick["the PodDisruptionBudget"] = spec[struct{ Selector selector }](t, all, "PodDisruptionBudget prod-odradek").Selector.MatchLabels
	pick["the NetworkPolicy"] = spec[struct{ PodSelector selector }](t, all, "NetworkPolicy prod-odradek").PodSelector.MatchLabels
	for what, s := range pick {
		if !s.picks(pod) || s.picks(other) {
			t.Errorf("%s picks %v: its own %v, another release's %v", what, s, s.picks(pod), s.picks(other))
		}
	}

	hpa := spec[struct {
		ScaleTargetRef           struct{ Kind, Name, APIVersion string }
		MinReplicas, MaxReplicas int
	}](t, all, "HorizontalPodAutoscaler prod-odradek")
	if m, ok := all[hpa.ScaleTargetRef.Kind+" "+hpa.ScaleTargetRef.Name]; !ok || m.APIVersion != hpa.ScaleTargetRef.APIVersion || hpa.MinReplicas != 3 || hpa.MaxReplicas != 12 {
		t.Errorf("the autoscaler: %+v", hpa)
	}

	// One Service answers for metrics, and the job gets the name that the alerts look for.
	monitor := spec[struct {
		JobLabel  string
		Selector  selector
		Endpoints []struct{ Port, Path string }
	}](t, all, "ServiceMonitor prod-odradek")
	var found []string
	for name, m := range all {
		if m.Kind == "Service" && monitor.Selector.MatchLabels.picks(m.Metadata.Labels) {
			found = append(found, name)
			if job := m.Metadata.Labels[monitor.JobLabel]; job != "odradek" {
				t.Errorf("the job is %q", job)
			}
		}
	}
	if !slices.Equal(found, []string{"Service prod-odradek-agents"}) || len(monitor.Endpoints) != 1 || monitor.Endpoints[0].Port != "http" || monitor.Endpoints[0].Path != "/metrics" {
		t.Errorf("the monitor %+v finds %v", monitor, found)
	}
	for _, kind := range []string{"ServiceMonitor", "PrometheusRule"} {
		if got := all[kind+" prod-odradek"].Metadata.Labels["release"]; got != "prometheus" {
			t.Errorf("%s has not the label that the operator selects by: %q", kind, got)
		}
	}
}

// The rules are those of examples/monitoring, to the letter.
func TestChart_RulesAreThoseOfTheExamples(t *testing.T) {
	source, err := os.ReadFile(filepath.Join(top, "examples/monitoring/alerts.yml"))
	if err != nil {
		t.Fatal(err)
	}
	own, err := os.ReadFile(filepath.Join(chart, "alerts.yml"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(source, own) {
		t.Error("examples/helm/odradek/alerts.yml is not examples/monitoring/alerts.yml: type `make docs`")
	}
	var want any
	if err := yaml.Unmarshal(source, &want); err != nil {
		t.Fatal(err)
	}
	got := spec[any](t, render(t, "prod", "monitoring.enabled=true"), "PrometheusRule prod-odradek")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rules (-examples +chart):\n%s", diff)
	}
}

// Each value has the manifests and no others that it is to have.
func TestChart_ValuesDecideWhatThereIs(t *testing.T) {
	always := []string{"Deployment x-odradek", "PodDisruptionBudget x-odradek", "Service x-odradek", "Service x-odradek-agents"}
	for _, c := range []struct {
		values []string
		more   []string
	}{
		{nil, []string{"HorizontalPodAutoscaler x-odradek", "NetworkPolicy x-odradek", "ServiceAccount x-odradek"}},
		{[]string{"autoscaling.enabled=false", "networkPolicy.enabled=false", "serviceAccount.create=false"}, nil},
		{[]string{"monitoring.enabled=true", "autoscaling.enabled=false", "networkPolicy.enabled=false", "serviceAccount.create=false"},
			[]string{"PrometheusRule x-odradek", "ServiceMonitor x-odradek"}},
	} {
		got := names(render(t, "x", c.values...))
		want := slices.Sorted(slices.Values(slices.Concat(always, c.more)))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%v (-want +got):\n%s", c.values, diff)
		}
	}
	fixed := spec[deployment](t, render(t, "odradek", "autoscaling.enabled=false", "replicas=5", "image.digest=sha256:"+strings.Repeat("a", 64),
		`podLabels={"team":"data"}`, `tolerations=[{"key":"k","operator":"Exists"}]`, `nodeSelector={"kubernetes.io/arch":"arm64"}`,
		`affinity={"nodeAffinity":{}}`, `imagePullSecrets=[{"name":"registry"}]`, `podAnnotations={"a":"b"}`, "priorityClassName=high"), "Deployment odradek")
	if fixed.Replicas == nil || *fixed.Replicas != 5 || fixed.Template.Metadata.Labels["team"] != "data" {
		t.Errorf("%+v", fixed)
	}
	if got := fixed.Template.Spec.Containers[0].Image; got != "registry.example/odradek@sha256:"+strings.Repeat("a", 64) {
		t.Errorf("image %s", got)
	}
}

// The policy lets agents reach what their URLs name.
func TestChart_PolicyFollowsTheURLs(t *testing.T) {
	type policy struct {
		Ingress []struct {
			From  []any
			Ports []struct{ Port any }
		}
		Egress []struct {
			To    []any
			Ports []struct{ Port any }
		}
	}
	for _, c := range []struct {
		values []string
		want   []string
	}{
		{nil, []string{"443", "6379"}},
		{[]string{"redis.url=rediss://agents@cache"}, []string{"443", "6379"}},
		{[]string{"redis.url=rediss://cache:7000/2", "bucket=minio://store:9000/b/p?secure=false"}, []string{"7000", "9000"}},
		{[]string{"bucket=minio://store/b"}, []string{"443", "6379"}},
		{[]string{"bucket=minio://store/b?secure=false"}, []string{"80", "6379"}},
		{[]string{"bucket=s3://b?region=x&endpoint=https://s3.example:8443"}, []string{"8443", "6379"}},
		{[]string{"bucket=s3://b?endpoint=http://s3.example&region=x"}, []string{"80", "6379"}},
		{[]string{"bucket=s3://b?endpoint=https://s3.example", "networkPolicy.egressPorts=[9443]"}, []string{"443", "6379", "9443"}},
	} {
		p := spec[policy](t, render(t, "x", c.values...), "NetworkPolicy x-odradek")
		var got []string
		for _, port := range p.Egress[1].Ports {
			got = append(got, fmt.Sprint(port.Port))
		}
		slices.Sort(got)
		slices.Sort(c.want)
		if diff := cmp.Diff(c.want, got); diff != "" || len(p.Egress[1].To) != 0 {
			t.Errorf("%v (-want +got):\n%s", c.values, diff)
		}
	}
	p := spec[policy](t, render(t, "x", `networkPolicy.clients=[{"podSelector":{"matchLabels":{"kafka":"yes"}}}]`, `networkPolicy.monitoring=[{"namespaceSelector":{}}]`), "NetworkPolicy x-odradek")
	for i, port := range []string{"kafka", "http"} {
		if in := p.Ingress[i]; len(in.From) != 1 || len(in.Ports) != 1 || in.Ports[0].Port != port {
			t.Errorf("ingress: %+v", in)
		}
	}
}

// What cannot work is refused before anything is installed, by a line that names the value.
func TestChart_WrongValuesAreRefused(t *testing.T) {
	if out, err := helm(t, "template", "x", chart, "--kube-version", "1.30.0"); err == nil || !strings.Contains(err.Error(), "bucket") ||
		!strings.Contains(err.Error(), "redis") || !strings.Contains(err.Error(), "image") {
		t.Errorf("without values: %v\n%s", err, out)
	}
	for value, name := range map[string]string{
		"image.tag=latest":                         "image/tag",
		"image.tag=":                               "image",
		"image.digest=sha256:abc":                  "image/digest",
		"bucket=file:///data/bucket":               "bucket", // of one agent
		"bucket=records":                           "bucket",
		"redis.url=embedded":                       "redis/url", // of one agent
		"redis.url=redis://user:secret@redis:6379": "redis/url",
		"redis.pasword=x":                          "pasword",
		"settings.listen=:9999":                    "settings",
		"settings.node-id=7":                       "settings",  // all pods' would be the same
		"variables.ODRADEK_LISTEN=:9":              "variables", // a setting, or what the chart sets
		"variables.low=1":                          "variables",
		"settings.Flush_Interval=1s":               "settings",
		"advertise=kafka.example":                  "advertise",
		"walSize=512":                              "walSize",
		"replicas=0":                               "replicas",
		"maxUnavailable=0":                         "maxUnavailable", // no node could be drained
		"autoscaling.min=20":                       "autoscaling",
		"autoscaling.cpuPercent=500":               "cpuPercent",
		"autoscaling.cpu=50":                       "cpu",
		`networkPolicy.clients=[{"pods":{}}]`:      "clients",
		"networkPolicy.egressPorts=[70000]":        "egressPorts",
		"monitoring.interval=often":                "interval",
		"replica=3":                                "replica",
		`kafka={"Num.Partitions":8}`:               "kafka",
		`serviceAccount.annotations={"a":1}`:       "annotations",
		"image.pullPolicy=Sometimes":               "pullPolicy",
		`imagePullSecrets=["registry"]`:            "imagePullSecrets",
		`podLabels={"app.kubernetes.io/name":"x"}`: "podLabels",
	} {
		args := slices.Concat([]string{"template", "x", chart, "--kube-version", "1.30.0"}, flags(append(slices.Clone(needed), value)))
		if out, err := helm(t, args...); err == nil || !strings.Contains(strings.ReplaceAll(err.Error(), ".", "/"), name) {
			t.Errorf("%s: %v\n%s", value, err, out)
		}
	}
}

// The variables that the chart renders are settings that the agent takes: the real binary is asked what it makes of them.
func TestChart_AgentsTakeTheirSettings(t *testing.T) {
	all := render(t, "prod", "cluster=orders", "redis.passwordSecret=redis", "credentialsSecret=bucket", "walSize=64MiB", "settings.flush-interval=100ms",
		"settings.metrics-emf=false", "settings.slots-in-flight=8", "settings.memory=256MiB", "variables.AWS_REGION=eu-central-1", `kafka={"num.partitions":8,"log.retention.ms":86400000,"log.cleaner.min.cleanable.ratio":0.25,"auto.create.topics.enable":false}`)
	c := spec[deployment](t, all, "Deployment prod-odradek").Template.Spec.Containers[0]
	if len(c.EnvFrom) != 1 || c.EnvFrom[0].SecretRef.Name != "bucket" {
		t.Errorf("credentials: %+v", c.EnvFrom)
	}
	// What an API server and a kubelet make of them: fields of the pod, keys of secrets, and references to variables before.
	// Two addresses and the directory are of this machine; nobody is at the bucket's and Redis'.
	fields := map[string]string{"status.podIP": "127.0.0.1", "metadata.labels['topology.kubernetes.io/zone']": ""}
	kafka, web := harness.FreeAddr(t), harness.FreeAddr(t)
	here := map[string]string{
		"ODRADEK_LISTEN": kafka, "ODRADEK_HTTP": web, "ODRADEK_DATA_DIR": harness.TempDir(t),
		"ODRADEK_BUCKET": "minio://" + harness.FreeAddr(t) + "/records?secure=false", "ODRADEK_REDIS": "redis://" + harness.FreeAddr(t),
	}
	env := []string{"AWS_ACCESS_KEY_ID=key", "AWS_SECRET_ACCESS_KEY=secret"}
	values := make(map[string]string)
	for _, v := range c.Env {
		value := v.Value
		switch {
		case v.ValueFrom == nil:
			for name, known := range values {
				value = strings.ReplaceAll(value, "$("+name+")", known)
			}
		case v.ValueFrom.FieldRef != nil:
			known, ok := fields[v.ValueFrom.FieldRef.FieldPath]
			if !ok {
				t.Errorf("%s is of the field %s", v.Name, v.ValueFrom.FieldRef.FieldPath)
			}
			value = known
		default:
			value = "secret-of-" + v.ValueFrom.SecretKeyRef.Name
		}
		values[v.Name] = value
		if other, ok := here[v.Name]; ok {
			value = other
		}
		env = append(env, v.Name+"="+value)
	}
	if values["AWS_REGION"] != "eu-central-1" {
		t.Errorf("variables: %v", values)
	}
	if values["ODRADEK_ADVERTISE"] != "127.0.0.1:9092" {
		t.Errorf("the agent advertises %q, not the pod's address", values["ODRADEK_ADVERTISE"])
	}

	cmd := harness.Command(t, env, c.Args...)
	log, err := os.Create(filepath.Join(harness.TempDir(t), "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	exited, err := harness.StartTied(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-exited
	})
	o := topology{t: t}
	o.await("the agent to live", func() error {
		text, _ := os.ReadFile(log.Name())
		select {
		case <-exited:
			return fmt.Errorf("it ended: %s", text)
		default:
		}
		if out, status := harness.Run(t, env, "healthcheck", "--live"); status != 0 {
			return fmt.Errorf("%s\n%s", out, text)
		}
		return nil
	})
	text, err := os.ReadFile(log.Name())
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	for _, want := range []string{
		"settings.cluster=orders", "settings.flush-interval=100ms", "settings.slots-in-flight=8", "settings.memory=256MiB", "settings.wal-size=64MiB",
		"settings.metrics-emf=false", "settings.redis-password=***", "settings.zone=auto",
	} {
		if !strings.Contains(first, want) {
			t.Errorf("the agent's settings have no %s:\n%s", want, first)
		}
	}

	loaded, err := settings.Load(settings.Sources{Environ: env})
	if err != nil {
		t.Fatal(err)
	}
	want := topic.Config{
		"num.partitions": "8", "log.retention.ms": "86400000", "log.cleaner.min.cleanable.ratio": "0.25", "auto.create.topics.enable": "false",
	}
	if diff := cmp.Diff(want, loaded.Kafka); diff != "" {
		t.Errorf("cluster settings (-want +got):\n%s", diff)
	}
}

// A check that takes everything is none: what is wrong in a manifest is refused by its type.
func TestReader_RefusesWhatKubernetesWould(t *testing.T) {
	const service = "apiVersion: v1\nkind: Service\nmetadata: {name: x}\nspec: {ports: [{port: 1}]}\n"
	if _, err := tryRead(t, service, "manifests"); err != nil {
		t.Errorf("a manifest that is right: %v", err)
	}
	for wrong, what := range map[string]string{
		strings.Replace(service, "port: 1", "prot: 1", 1):                                                        `unknown field "spec.ports[0].prot"`,
		strings.Replace(service, "port: 1", "Port: 1", 1):                                                        `unknown field "spec.ports[0].Port"`,
		strings.Replace(service, "port: 1", "port: many", 1):                                                     "cannot unmarshal string",
		strings.Replace(service, "name: x", "name: X_Y", 1):                                                      "metadata.name",
		strings.Replace(service, "name: x", "name: x, labels: {a: '-'}", 1):                                      "metadata.labels",
		strings.Replace(service, "v1", "v3", 1):                                                                  "no such kind",
		service + "kind: Service\n":                                                                              "already set",
		"apiVersion: monitoring.coreos.com/v1\nkind: ServiceMonitor\nmetadata: {name: x}\nspec: {selctor: {}}\n": "unknown field",
	} {
		if _, err := tryRead(t, wrong, "manifests"); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%q: %v; want %q", wrong, err, what)
		}
	}
}
