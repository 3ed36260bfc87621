package place

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// machineWith gives surroundings off-cloud with interfaces named like `eth0 10.0.0.7`.
func machineWith(interfaces ...string) Surroundings {
	var all []InterfaceAddr
	for _, i := range interfaces {
		name, addr, _ := strings.Cut(i, " ")
		all = append(all, InterfaceAddr{Interface: name, Addr: netip.MustParseAddr(addr)})
	}
	return Surroundings{Addresses: func() ([]InterfaceAddr, error) { return all, nil }}
}

// serve runs a metadata service that answers the paths given.
func serve(t *testing.T, answers map[string]string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, ok := answers[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte(answer))
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// serveEC2 runs an instance metadata service that insists on version 2 of its protocol.
func serveEC2(t *testing.T, answers map[string]string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut && r.URL.Path == "/latest/api/token" &&
			r.Header.Get("X-aws-ec2-metadata-token-ttl-seconds") != "" {
			_, _ = w.Write([]byte("a-token"))
			return
		}
		if r.Header.Get("X-aws-ec2-metadata-token") != "a-token" {
			http.Error(w, "no token", http.StatusUnauthorized)
			return
		}
		answer, ok := answers[strings.TrimPrefix(r.URL.Path, "/latest/meta-data/")]
		if !ok {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte(answer))
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// silent gives the URL of a service that takes connections and never answers.
func silent(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return "http://" + l.Addr().String()
}

func auto(listen string) Request {
	return Request{Listen: listen, Port: 9092, Advertise: Auto, Zone: Auto}
}

func want(t *testing.T, got Place, address, addressFrom, zone, zoneFrom string) {
	t.Helper()
	if got.Address() != address || got.HostFrom != addressFrom {
		t.Errorf("address %s from %s, want %s from %s", got.Address(), got.HostFrom, address, addressFrom)
	}
	if got.Zone != zone || got.ZoneFrom != zoneFrom {
		t.Errorf("zone %q from %s, want %q from %s", got.Zone, got.ZoneFrom, zone, zoneFrom)
	}
}

func TestFind_ALoopbackListenerAsksNobody(t *testing.T) {
	around := machineWith("eth0 10.0.0.7")
	around.ECS, around.EC2 = silent(t), silent(t)
	for listen, address := range map[string]string{
		"127.0.0.1:0": "127.0.0.1:9092", "localhost:9092": "localhost:9092", "[::1]:9092": "[::1]:9092",
	} {
		p := Find(context.Background(), auto(listen), around)
		want(t, p, address, "--listen", "", "loopback listener")
		if len(p.Problems) > 0 {
			t.Errorf("%s: asked: %v", listen, p.Problems)
		}
	}
}

func TestFind_WhatWasSetWins(t *testing.T) {
	around := machineWith("eth0 10.0.0.7")
	around.EC2 = serveEC2(t, map[string]string{"local-ipv4": "10.1.1.1", "placement/availability-zone": "eu-1a"})
	r := Request{Listen: ":9092", Port: 9092, Advertise: "broker.example:19092", Zone: "rack-3"}
	want(t, Find(context.Background(), r, around), "broker.example:19092", "--advertise", "rack-3", "--zone")
	r.Advertise, r.Zone = "broker.example:0", None
	want(t, Find(context.Background(), r, around), "broker.example:9092", "--advertise", "", "--zone")
}

func TestFind_ASpecificListenerIsAdvertised(t *testing.T) {
	around := machineWith("eth0 10.0.0.7")
	around.EC2 = serveEC2(t, map[string]string{"local-ipv4": "10.1.1.1", "placement/availability-zone": "eu-1a"})
	want(t, Find(context.Background(), auto("10.9.9.9:9092"), around), "10.9.9.9:9092", "--listen", "eu-1a", ec2Source)
}

func TestFind_ECSTaskMetadata(t *testing.T) {
	around := machineWith("eth0 169.254.172.2", "eth1 10.0.0.7")
	around.EC2 = silent(t)
	around.ECS = serve(t, map[string]string{
		"/":     `{"Networks":[{"NetworkMode":"awsvpc","IPv4Addresses":["10.0.2.106"]}]}`,
		"/task": `{"Cluster":"default","AvailabilityZone":"us-west-2d"}`,
	})
	p := Find(context.Background(), auto("0.0.0.0:9092"), around)
	want(t, p, "10.0.2.106:9092", ecsSource, "us-west-2d", ecsSource)
	if len(p.Problems) > 0 {
		t.Errorf("problems: %v", p.Problems)
	}
}

func TestFind_ABridgedContainerAdvertisesItsInstance(t *testing.T) {
	around := machineWith("eth0 172.17.0.2")
	around.ECS = serve(t, map[string]string{
		"/":     `{"Networks":[{"NetworkMode":"bridge","IPv4Addresses":["172.17.0.2"]}]}`,
		"/task": `{"AvailabilityZone":"us-west-2d"}`,
	})
	around.EC2 = serveEC2(t, map[string]string{"local-ipv4": "10.1.1.1", "placement/availability-zone": "other"})
	want(t, Find(context.Background(), auto(":9092"), around), "10.1.1.1:9092", ec2Source, "us-west-2d", ecsSource)
}

func TestFind_EC2InstanceMetadata(t *testing.T) {
	around := machineWith("eth0 10.0.0.7")
	around.EC2 = serveEC2(t, map[string]string{"local-ipv4": "10.1.1.1", "placement/availability-zone": "eu-1a"})
	want(t, Find(context.Background(), auto("[::]:9092"), around), "10.1.1.1:9092", ec2Source, "eu-1a", ec2Source)

	around.EC2 = serveEC2(t, map[string]string{"ipv6": "2001:db8::1", "placement/availability-zone": "eu-1b"})
	want(t, Find(context.Background(), auto(":9092"), around), "[2001:db8::1]:9092", ec2Source, "eu-1b", ec2Source)
}

func TestFind_OffCloudTheFirstReachableAddress(t *testing.T) {
	around := machineWith("lo 127.0.0.1", "lo ::1", "eth0 fe80::1", "eth0 2001:db8::7", "eth0 169.254.1.1", "eth1 10.0.0.7")
	want(t, Find(context.Background(), auto(":9092"), around), "10.0.0.7:9092", "interface eth1", "", "no cloud metadata")
	around = machineWith("lo ::1", "eth0 fe80::1", "eth0 2001:db8::7")
	want(t, Find(context.Background(), auto(":9092"), around), "[2001:db8::7]:9092", "interface eth0", "", "no cloud metadata")
	around = machineWith("lo 127.0.0.1")
	want(t, Find(context.Background(), auto(":9092"), around), "127.0.0.1:9092", "no address but loopback", "", "no cloud metadata")
	around.Addresses = func() ([]InterfaceAddr, error) { return nil, errors.New("denied") }
	p := Find(context.Background(), auto(":9092"), around)
	want(t, p, "127.0.0.1:9092", "no address but loopback", "", "no cloud metadata")
	if len(p.Problems) != 1 || p.Problems[0] != "interfaces: denied" {
		t.Errorf("problems: %v", p.Problems)
	}
}

func TestFind_SilentAndLyingServicesCostASecondAtMost(t *testing.T) {
	around := machineWith("eth0 10.0.0.7")
	around.ECS, around.EC2 = silent(t), silent(t)
	started := time.Now()
	p := Find(context.Background(), auto(":9092"), around)
	if took := time.Since(started); took > 3*budget {
		t.Errorf("took %v", took)
	}
	want(t, p, "10.0.0.7:9092", "interface eth0", "", "no cloud metadata")
	if len(p.Problems) != 3 {
		t.Errorf("%d problems, want 3 (container, task, token): %v", len(p.Problems), p.Problems)
	}

	around.ECS = serve(t, map[string]string{"/": "<html>", "/task": "{}"})
	around.EC2 = serveEC2(t, map[string]string{"local-ipv4": "<html>"})
	p = Find(context.Background(), auto(":9092"), around)
	want(t, p, "10.0.0.7:9092", "interface eth0", "", "no cloud metadata")
	if len(p.Problems) != 4 {
		t.Errorf("%d problems, want 4: %v", len(p.Problems), p.Problems)
	}
}

func TestEC2Endpoint_IsOnlyAskedWhereThereIsASignOfEC2(t *testing.T) {
	root := func(file, text string) string {
		dir := t.TempDir()
		path := filepath.Join(dir, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	nitro := root("sys/class/dmi/id/sys_vendor", "Amazon EC2\n")
	for _, c := range []struct {
		name, root string
		env        map[string]string
		want       string
	}{
		{"nitro", nitro, nil, ec2Metadata},
		{"xen", root("sys/hypervisor/uuid", "ec2e1916-9099-7caf-fd21-012345abcdef"), nil, ec2Metadata},
		{"asset tag", root("sys/class/dmi/id/board_asset_tag", "i-0123456789abcdef0"), nil, ec2Metadata},
		{"elsewhere", root("sys/class/dmi/id/sys_vendor", "QEMU\n"), nil, ""},
		{"forbidden", nitro, map[string]string{"AWS_EC2_METADATA_DISABLED": "True"}, ""},
		{"moved", t.TempDir(), map[string]string{"AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://[fd00:ec2::254]/"}, "http://[fd00:ec2::254]"},
	} {
		if got := ec2Endpoint(c.root, func(name string) string { return c.env[name] }); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestInterfaceAddresses_HoldLoopback(t *testing.T) {
	all, err := interfaceAddresses()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if a.Addr.IsLoopback() {
			return
		}
	}
	t.Errorf("no loopback among %v", all)
}
