package bucket

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/objectstore/local"
	"github.com/odradek/odradek/objectstore/memory"
	"github.com/odradek/odradek/objectstore/minio"
	"github.com/odradek/odradek/objectstore/s3"
)

// ErrCredentials says that a URL holds a user or a password.
var ErrCredentials = errors.New("a bucket's URL must not hold credentials: " +
	"set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or use a profile or role of AWS")

// Description tells what Open opened.
type Description struct {
	Scheme string // file, memory, s3 or minio
	Text   string // for people: "directory /x", "bucket b, prefix p, at https://…"; holds no secret
	// Directory is the store itself when it is a directory, which can be locked; else nil.
	Directory *local.Store
}

// Open opens the bucket of a URL. Of the four schemes only file touches anything: the directory is created if need
// be. Whether a remote bucket is there and keeps its promise is for Probe to find out.
func Open(ctx context.Context, rawURL string) (objectstore.Store, Description, error) {
	return open(ctx, rawURL, local.Open)
}

// OpenToRead is Open for a command that looks at a bucket beside its agents: a directory must exist, and nothing in it
// is touched. The other stores are those of Open; that nobody writes to them is for the caller to keep.
func OpenToRead(ctx context.Context, rawURL string) (objectstore.Store, Description, error) {
	return open(ctx, rawURL, local.OpenToRead)
}

func open(ctx context.Context, rawURL string, directory func(string) (*local.Store, error)) (objectstore.Store, Description, error) {
	u, err := parse(rawURL)
	if err != nil {
		return nil, Description{}, err
	}
	var store objectstore.Store
	d := Description{Scheme: u.Scheme}
	switch u.Scheme {
	case "file":
		store, err = openFile(u, &d, directory)
	case "memory":
		store, err = openMemory(u, &d)
	case "s3":
		store, err = openS3(ctx, u, &d)
	case "minio":
		store, err = openMinIO(u, &d)
	}
	if errors.Is(err, ErrCredentials) {
		return nil, Description{}, err
	}
	if err != nil {
		return nil, Description{}, fmt.Errorf("bucket %s: %w", u, err)
	}
	return store, d, nil
}

// FileURL is the URL of the bucket in a directory. A relative one counts from the working directory.
func FileURL(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("bucket directory %s: %w", dir, err)
	}
	u := url.URL{Scheme: "file", Path: filepath.ToSlash(abs)}
	return u.String(), nil
}

// parse reads a URL and refuses what no scheme allows. Its errors do not repeat a URL that may hold a password.
func parse(rawURL string) (*url.URL, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, errors.New("bucket's URL does not parse; it is not repeated here, as it may hold a secret")
	}
	allowed := map[string][]string{"file": nil, "memory": nil, "s3": {"endpoint", "region"}, "minio": {"region", "secure"}}
	keys, known := allowed[u.Scheme]
	switch {
	case !known:
		return nil, fmt.Errorf("bucket's URL: scheme %q: want file:///dir, memory://, s3://bucket/prefix or minio://host:port/bucket/prefix", u.Scheme)
	case u.User != nil:
		return nil, ErrCredentials
	case u.Opaque != "" || u.Fragment != "":
		return nil, fmt.Errorf("bucket's URL: want %s://… without '#'", u.Scheme)
	}
	return u, checkQuery(u, keys)
}

func checkQuery(u *url.URL, allowed []string) error {
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return fmt.Errorf("bucket's URL: query: %w", err)
	}
	for _, key := range slices.Sorted(maps.Keys(query)) {
		if secretKey(key) {
			return ErrCredentials
		}
		if !slices.Contains(allowed, key) {
			return fmt.Errorf("bucket's URL: unknown key %q; %s:// has %s", key, u.Scheme, orNone(allowed))
		}
		if len(query[key]) > 1 {
			return fmt.Errorf("bucket's URL: key %q stands there %d times", key, len(query[key]))
		}
	}
	return nil
}

// secretKey reports a query key that someone would put a credential under.
func secretKey(key string) bool {
	key = strings.ToLower(key)
	return strings.Contains(key, "secret") || strings.Contains(key, "access") || strings.Contains(key, "password") || strings.Contains(key, "token")
}

func orNone(keys []string) string {
	if len(keys) == 0 {
		return "no keys"
	}
	return strings.Join(keys, " and ")
}

func openFile(u *url.URL, d *Description, open func(string) (*local.Store, error)) (objectstore.Store, error) {
	if u.Host != "" && u.Host != "localhost" || !strings.HasPrefix(u.Path, "/") || u.Path == "/" {
		return nil, errors.New("want file:///dir with an absolute path")
	}
	s, err := open(filepath.FromSlash(u.Path))
	if err != nil {
		return nil, err
	}
	d.Directory, d.Text = s, "directory "+s.Dir()
	return s, nil
}

func openMemory(u *url.URL, d *Description) (objectstore.Store, error) {
	if u.Host != "" || strings.Trim(u.Path, "/") != "" {
		return nil, errors.New("want memory:// and nothing behind it")
	}
	d.Text = "memory, lost when the process ends"
	return memory.New(), nil
}

func openS3(ctx context.Context, u *url.URL, d *Description) (objectstore.Store, error) {
	if u.Host == "" || u.Port() != "" {
		return nil, errors.New("want s3://bucket/prefix; a host goes into ?endpoint=http://host:port")
	}
	c := s3.Config{Bucket: u.Host, Prefix: strings.Trim(u.Path, "/"), Region: u.Query().Get("region"), Endpoint: u.Query().Get("endpoint")}
	where := "S3"
	if c.Endpoint != "" {
		e, err := url.Parse(c.Endpoint)
		if err == nil && e.User != nil {
			return nil, ErrCredentials
		}
		if err != nil || e.Scheme != "http" && e.Scheme != "https" || e.Host == "" || strings.Trim(e.Path, "/") != "" || e.RawQuery != "" {
			return nil, errors.New("endpoint: want http://host:port or https://host:port")
		}
		c.PathStyle = true
		where = c.Endpoint
	}
	d.Text = describe(c.Bucket, c.Prefix, where)
	return s3.Open(ctx, c)
}

func openMinIO(u *url.URL, d *Description) (objectstore.Store, error) {
	bucket, prefix, _ := strings.Cut(strings.Trim(u.Path, "/"), "/")
	if u.Host == "" || bucket == "" {
		return nil, errors.New("want minio://host:port/bucket/prefix")
	}
	secure := true
	if value := u.Query().Get("secure"); value != "" {
		var err error
		if secure, err = strconv.ParseBool(value); err != nil {
			return nil, fmt.Errorf("secure=%s: want true or false", value)
		}
	}
	d.Text = describe(bucket, prefix, "MinIO "+u.Host)
	return minio.Open(minio.Config{Endpoint: u.Host, Secure: secure, Bucket: bucket, Prefix: prefix, Region: u.Query().Get("region")})
}

func describe(bucket, prefix, where string) string {
	if prefix != "" {
		bucket += ", prefix " + prefix
	}
	return "bucket " + bucket + ", at " + where
}
