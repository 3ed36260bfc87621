package bucket

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"strings"
)

// A place is where in a bucket a cluster lives: "/" and the prefix, or the directory's path. It is what URLs of one bucket
// differ in.

// errNoPlaces says that a store is not shared by anything.
var errNoPlaces = errors.New("a bucket in memory has no other places")

// Place gives the place that a URL names.
func Place(rawURL string) (string, error) {
	u, err := parse(rawURL)
	if err != nil {
		return "", err
	}
	switch u.Scheme {
	case "memory":
		return "", errNoPlaces
	case "minio":
		_, prefix, _ := strings.Cut(strings.Trim(u.Path, "/"), "/")
		return "/" + prefix, nil
	}
	return "/" + strings.Trim(u.Path, "/"), nil
}

// At gives the URL of another place in the same bucket.
func At(rawURL, place string) (string, error) {
	u, err := parse(rawURL)
	if err != nil {
		return "", err
	}
	if err := CheckPlace(place); err != nil {
		return "", err
	}
	at := url.URL{Scheme: u.Scheme, Host: u.Host, Path: place, RawQuery: u.RawQuery}
	switch u.Scheme {
	case "memory":
		return "", errNoPlaces
	case "minio":
		name, _, _ := strings.Cut(strings.Trim(u.Path, "/"), "/")
		at.Path = "/" + name + place
	}
	if at.Path == "/" {
		at.Path = ""
	}
	return at.String(), nil
}

// CheckPlace says what keeps a text from being a place.
func CheckPlace(place string) error {
	if !strings.HasPrefix(place, "/") || path.Clean(place) != place {
		return fmt.Errorf("%q is no place in a bucket: want / and a prefix, or an absolute path", place)
	}
	return nil
}
