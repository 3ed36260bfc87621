package settings

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

var (
	errBucketURL = errors.New("is no bucket; write file:///dir, memory://, s3://bucket/prefix or " +
		"minio://host:port/bucket/prefix")
	errBucketSecret = errors.New("holds a user or password; the bucket's credentials come from the standard AWS " +
		"chain, as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	errRedisURL    = errors.New("is no Redis; write embedded, redis://host:port or rediss://host:port")
	errRedisSecret = errors.New("holds a password; give it by ODRADEK_REDIS_PASSWORD or --redis-password-file")
)

// bucketIn is the URL of the default bucket: a directory beside the WAL.
func bucketIn(dataDir string) string { return fileURL(filepath.Join(dataDir, "bucket")) }

// fileURL gives the URL of a path, made absolute.
func fileURL(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(path)}).String()
}

// parseBucket checks the shape of a bucket's URL and makes file paths absolute: file://./dir is read as relative
// to the working directory. What scheme-specific parameters mean is left to the store.
func parseBucket(s string) (string, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return "", errBucketURL
	case u.User != nil:
		return "", errBucketSecret
	}
	switch u.Scheme {
	case "file":
		path := u.Host + u.Path
		if path == "" || u.Opaque != "" || (u.Host != "" && u.Host != "." && u.Host != "..") {
			return "", errBucketURL
		}
		return fileURL(path), nil
	case "memory":
		return s, nil
	case "s3":
		if u.Host == "" {
			return "", errBucketURL
		}
		return s, nil
	case "minio":
		if u.Host == "" || strings.Trim(u.Path, "/") == "" {
			return "", errBucketURL
		}
		return s, nil
	}
	return "", errBucketURL
}

// checkRedis refuses what is neither embedded nor a Redis URL, and any URL with a password in it.
func checkRedis(s string) error {
	if s == RedisEmbedded {
		return nil
	}
	u, err := url.Parse(s)
	if err != nil || (u.Scheme != "redis" && u.Scheme != "rediss") || u.Hostname() == "" {
		if err == nil && u.User != nil {
			return errRedisSecret
		}
		return errRedisURL
	}
	_, inUser := u.User.Password()
	if inUser || u.Query().Has("password") {
		return errRedisSecret
	}
	return nil
}

// hideUserinfo replaces what stands between :// and @ in a URL, parsable or not, and any password parameter.
func hideUserinfo(s string) string {
	if start := strings.Index(s, "://"); start >= 0 {
		if at := strings.LastIndexByte(s, '@'); at > start {
			s = s[:start+3] + "***" + s[at:]
		}
	}
	return secretParameter.ReplaceAllString(s, "$1***")
}

var secretParameter = regexp.MustCompile(`(?i)([?&][^=&]*(?:password|secret|token|key)[^=&]*=)[^&]*`)

// checkHostPort refuses what is not host:port; host may be empty only where every address is meant.
func checkHostPort(s string, emptyHost bool) error {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return errors.New("is no host:port, as 127.0.0.1:9092")
	}
	if host == "" && !emptyHost {
		return errors.New("has no host")
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return fmt.Errorf("has port %q, want 0 to 65535", port)
	}
	return nil
}
