package place

import (
	"bytes"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
)

// ec2Metadata is where every EC2 instance finds its metadata.
const ec2Metadata = "http://169.254.169.254"

// Here gives the surroundings of this machine. It sends nothing: that this is ECS says an environment variable,
// that it is EC2 what the firmware tells under /sys, or the variable AWS_EC2_METADATA_SERVICE_ENDPOINT.
func Here() Surroundings {
	return Surroundings{
		ECS:       strings.TrimSuffix(os.Getenv("ECS_CONTAINER_METADATA_URI_V4"), "/"),
		EC2:       ec2Endpoint("/", os.Getenv),
		Addresses: interfaceAddresses,
	}
}

// ec2Endpoint gives the base URL of the instance metadata, "" if this is no EC2 instance or asking is forbidden by
// the variable that the AWS SDKs heed too. root is "/" or a directory that stands for it.
func ec2Endpoint(root string, getenv func(string) string) string {
	if strings.EqualFold(getenv("AWS_EC2_METADATA_DISABLED"), "true") {
		return ""
	}
	if endpoint := getenv("AWS_EC2_METADATA_SERVICE_ENDPOINT"); endpoint != "" {
		return strings.TrimSuffix(endpoint, "/")
	}
	for file, start := range map[string]string{
		"sys/class/dmi/id/sys_vendor":      "amazon ec2", // Nitro
		"sys/class/dmi/id/board_asset_tag": "i-",         // Nitro and bare metal
		"sys/hypervisor/uuid":              "ec2",        // Xen
	} {
		text, err := os.ReadFile(filepath.Join(root, file))
		if err == nil && bytes.HasPrefix(bytes.ToLower(text), []byte(start)) {
			return ec2Metadata
		}
	}
	return ""
}

// interfaceAddresses lists the addresses of the interfaces that are up.
func interfaceAddresses() ([]InterfaceAddr, error) {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	var all []InterfaceAddr
	for _, i := range interfaces {
		if i.Flags&net.FlagUp == 0 {
			continue
		}
		addresses, err := i.Addrs()
		if err != nil {
			return all, err
		}
		for _, a := range addresses {
			if prefix, err := netip.ParsePrefix(a.String()); err == nil {
				all = append(all, InterfaceAddr{Interface: i.Name, Addr: prefix.Addr().Unmap()})
			}
		}
	}
	return all, nil
}
