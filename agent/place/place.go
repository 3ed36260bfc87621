package place

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"time"
)

// Words of the settings advertise and zone.
const (
	Auto = "auto" // find out
	None = "none" // no zone
)

// budget bounds all asking around together; each question has its own, shorter time-out.
const (
	budget          = time.Second
	questionTimeout = 300 * time.Millisecond
)

// Request is what is known before looking around.
type Request struct {
	Listen    string // host:port as set; the host may be empty or a wildcard
	Port      int    // that the listener was given, which differs from Listen's when that says 0
	Advertise string // Auto or host:port; port 0 means Port
	Zone      string // Auto, None or a name
}

// Place is where the agent stands and who said so.
type Place struct {
	Host     string
	Port     int
	HostFrom string // `--advertise`, `ECS task metadata`, `interface eth0` …
	Zone     string // "" when there is none
	ZoneFrom string
	Problems []string // what was asked in vain, to be logged
}

// Address gives host:port.
func (p Place) Address() string { return net.JoinHostPort(p.Host, strconv.Itoa(p.Port)) }

// LogValue lays out what was found, and where.
func (p Place) LogValue() slog.Value {
	attrs := []slog.Attr{
		slog.String("advertise", p.Address()), slog.String("advertise_from", p.HostFrom),
		slog.String("zone", p.Zone), slog.String("zone_from", p.ZoneFrom),
	}
	if len(p.Problems) > 0 {
		attrs = append(attrs, slog.Any("problems", p.Problems))
	}
	return slog.GroupValue(attrs...)
}

// Surroundings are the parts of the world that Find looks at. Here returns those of this machine.
type Surroundings struct {
	ECS       string                          // base URL of the ECS task metadata, "" outside ECS
	EC2       string                          // base URL of the instance metadata, "" off EC2
	Addresses func() ([]InterfaceAddr, error) // of the machine's interfaces that are up, in their order
}

// InterfaceAddr is one address of one interface.
type InterfaceAddr struct {
	Interface string
	Addr      netip.Addr
}

// Find decides what the agent advertises and which zone it is in. It never fails: where nothing answers there is no
// zone, and a machine without any other address advertises loopback. It takes at most a second.
func Find(ctx context.Context, r Request, around Surroundings) Place {
	ctx, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	f := finder{request: r, around: around, place: Place{Port: r.Port}}
	f.settled()
	if f.place.Host == "" || f.place.ZoneFrom == "" {
		f.askECS(ctx)
	}
	if f.place.Host == "" || f.place.ZoneFrom == "" {
		f.askEC2(ctx)
	}
	f.fallBack()
	return f.place
}

// finder is one Find under way. Host is settled once it is not empty, the zone once ZoneFrom is not.
type finder struct {
	request Request
	around  Surroundings
	place   Place
}

func (f *finder) host(host, from string) {
	if f.place.Host == "" && host != "" {
		f.place.Host, f.place.HostFrom = host, from
	}
}

func (f *finder) zone(zone, from string) {
	if f.place.ZoneFrom == "" {
		f.place.Zone, f.place.ZoneFrom = zone, from
	}
}

func (f *finder) problem(who string, err error) {
	f.place.Problems = append(f.place.Problems, who+": "+err.Error())
}

// settled takes what a person set, and what follows from it without asking anybody.
func (f *finder) settled() {
	switch f.request.Zone {
	case None:
		f.zone("", "--zone")
	case Auto, "":
	default:
		f.zone(f.request.Zone, "--zone")
	}
	if f.request.Advertise != Auto && f.request.Advertise != "" {
		host, port, err := net.SplitHostPort(f.request.Advertise)
		if n, _ := strconv.Atoi(port); err == nil && n > 0 {
			f.place.Port = n
		}
		f.host(host, "--advertise")
		return
	}
	host, _, _ := net.SplitHostPort(f.request.Listen)
	addr, err := netip.ParseAddr(host)
	switch {
	case host == "" || err == nil && addr.IsUnspecified():
	case host == "localhost" || err == nil && addr.IsLoopback():
		f.host(host, "--listen")
		f.zone("", "loopback listener")
	default:
		f.host(host, "--listen")
	}
}

// fallBack uses the machine's own addresses.
func (f *finder) fallBack() {
	f.zone("", "no cloud metadata")
	if f.place.Host != "" {
		return
	}
	addresses, err := f.around.Addresses()
	if err != nil {
		f.problem("interfaces", err)
	}
	if a, ok := firstReachable(addresses); ok {
		f.host(a.Addr.String(), "interface "+a.Interface)
		return
	}
	f.host("127.0.0.1", "no address but loopback")
}

// firstReachable gives the first address that others may reach: IPv4 before IPv6, never loopback or link-local.
func firstReachable(addresses []InterfaceAddr) (InterfaceAddr, bool) {
	for _, v4 := range []bool{true, false} {
		for _, a := range addresses {
			if a.Addr.Is4() == v4 && a.Addr.IsGlobalUnicast() {
				return a, true
			}
		}
	}
	return InterfaceAddr{}, false
}
