variable "name" {
  description = "Name of the deployment: the first word of every resource's name."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,20}[a-z0-9]$", var.name)) && !strcontains(var.name, "--")
    error_message = "name: want 3 to 22 lower-case letters, digits and single dashes, beginning with a letter, as in \"odradek\"."
  }
}

variable "cluster" {
  description = "Name of the Odradek cluster: agents that share a bucket and a Redis have the same."
  type        = string
  default     = "odradek"

  validation {
    condition     = can(regex("^[A-Za-z0-9._-]{1,64}$", var.cluster))
    error_message = "cluster: want 1 to 64 letters, digits, dots, dashes and underscores."
  }
}

variable "launch" {
  description = "What agents run on: \"fargate\" (tasks of ECS, the WAL on their own storage) or \"ec2\" (instances of an Auto Scaling group, the WAL on a volume of EBS each)."
  type        = string
  default     = "fargate"

  validation {
    condition     = contains(["fargate", "ec2"], var.launch)
    error_message = "launch: want \"fargate\" or \"ec2\"."
  }
}

variable "image" {
  description = "Image of Odradek, by version or digest. Its entry point is the program, and it may write below /data."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9._/:-]*(:[A-Za-z0-9_][A-Za-z0-9._-]*|@sha256:[0-9a-f]{64})$", var.image)) && !endswith(var.image, ":latest")
    error_message = "image: want an image with its version or digest and not \"latest\", so that all agents are of one build, as in \"123456789012.dkr.ecr.eu-central-1.amazonaws.com/odradek:1.0.0\"."
  }
}

variable "ecr_repository_arn" {
  description = "The repository of ECR that the image is in, to allow that one alone; null: any of the account's."
  type        = string
  default     = null
}

variable "vpc_id" {
  description = "The VPC to run in."
  type        = string
}

variable "subnet_ids" {
  description = "Subnets of agents, one per zone. They need a way to the bucket: a gateway endpoint of S3 in their route tables."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) >= 2 && length(distinct(var.subnet_ids)) == length(var.subnet_ids)
    error_message = "subnet_ids: want one subnet in each of at least two zones."
  }
}

variable "assign_public_ip" {
  description = "Give agents public addresses, where their subnets have no NAT gateway. Nothing is let in by them."
  type        = bool
  default     = false
}

variable "client_cidr_blocks" {
  description = "Addresses that Kafka clients come from."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for cidr in var.client_cidr_blocks : can(cidrhost(cidr, 0)) && !endswith(cidr, "/0")])
    error_message = "client_cidr_blocks: want ranges as \"10.0.0.0/8\", and not the whole internet: the listener asks for no password."
  }
}

variable "client_security_group_ids" {
  description = "Security groups that Kafka clients are in."
  type        = list(string)
  default     = []
}

variable "metrics_cidr_blocks" {
  description = "Addresses that gather metrics, by HTTP on port 8080."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for cidr in var.metrics_cidr_blocks : can(cidrhost(cidr, 0)) && !endswith(cidr, "/0")])
    error_message = "metrics_cidr_blocks: want ranges as \"10.0.0.0/8\", and not the whole internet."
  }
}

variable "bucket" {
  description = "The bucket, as the module of that name puts it out."
  type = object({
    arn         = string
    url         = string
    prefix      = optional(string, "")
    kms_key_arn = optional(string)
  })

  validation {
    condition     = startswith(var.bucket.url, "s3://") && !strcontains(var.bucket.url, "@")
    error_message = "bucket.url: want s3://bucket/prefix?region=… without credentials: agents have roles."
  }
}

variable "redis" {
  description = "Redis, as the module of that name puts it out, or your own: its URL without a password, and the ARN of the secret that holds the password, if it has one."
  type = object({
    url                 = string
    password_secret_arn = optional(string)
    kms_key_arn         = optional(string)
  })

  validation {
    condition     = can(regex("^rediss?://", var.redis.url))
    error_message = "redis.url: want redis://host:port or rediss://host:port; agents of a pool share one."
  }

  validation {
    condition     = !can(regex("^rediss?://[^/@]*:[^/@]*@", var.redis.url))
    error_message = "redis.url: holds a password; put it into a secret of Secrets Manager and name that in redis.password_secret_arn."
  }

  validation {
    condition     = var.redis.password_secret_arn == null || can(regex("^arn:aws[a-z-]*:secretsmanager:", var.redis.password_secret_arn))
    error_message = "redis.password_secret_arn: want the ARN of a secret, as in \"arn:aws:secretsmanager:eu-central-1:123456789012:secret:redis-a1b2c3\"."
  }
}

variable "agents" {
  description = "How many agents there are at least and at most."
  type = object({
    min = optional(number, 3)
    max = optional(number, 12)
  })
  default = {}

  validation {
    condition     = var.agents.min >= 2 && var.agents.max >= var.agents.min && var.agents.max <= 200
    error_message = "agents: want 2 <= min <= max <= 200; with one agent alone every restart is an outage."
  }
}

variable "cpu" {
  description = "CPU units of an agent on Fargate; 1024 are one CPU."
  type        = number
  default     = 2048

  validation {
    condition     = contains([512, 1024, 2048, 4096, 8192, 16384], var.cpu)
    error_message = "cpu: want 512, 1024, 2048, 4096, 8192 or 16384."
  }
}

variable "memory" {
  description = "Memory of an agent on Fargate, in MiB."
  type        = number
  default     = 4096

  # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-tasks-services.html
  validation {
    condition     = var.memory >= 2 * var.cpu && var.memory <= (var.cpu < 4096 ? 8 : 7.5) * var.cpu && var.memory % (var.cpu < 8192 ? 1024 : var.cpu / 2) == 0
    error_message = "memory: Fargate gives two to eight MiB for each CPU unit, in whole GiB (7.5 from 4096 units on, in steps of 4 and 8 GiB from 8192 on): want 4096 to 16384 with cpu = 2048."
  }
}

variable "cpu_architecture" {
  description = "What the image is built for on Fargate: \"ARM64\" or \"X86_64\"."
  type        = string
  default     = "ARM64"

  validation {
    condition     = contains(["ARM64", "X86_64"], var.cpu_architecture)
    error_message = "cpu_architecture: want \"ARM64\" or \"X86_64\"."
  }
}

variable "wal_size_mib" {
  description = "Size of an agent's WAL: what acks=1 takes while the bucket is away."
  type        = number
  default     = 2048

  validation {
    condition     = var.wal_size_mib >= 64 && var.wal_size_mib <= 196 * 1024
    error_message = "wal_size_mib: want 64 to 200704."
  }
}

variable "instance_type" {
  description = "Type of the instances, with launch = \"ec2\". It must fit the image and ami_id."
  type        = string
  default     = "c7g.large"
}

variable "ami_id" {
  description = "Amazon Linux 2023 to start instances with: an AMI, or the parameter that names the newest at each start."
  type        = string
  default     = "resolve:ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64"

  validation {
    condition     = can(regex("^(ami-[0-9a-f]+|resolve:ssm:.+)$", var.ami_id))
    error_message = "ami_id: want \"ami-…\" or \"resolve:ssm:/parameter\"."
  }
}

variable "wal_volume" {
  description = "The volume of EBS under each instance's WAL. keep: it stays when its instance is terminated, for someone to look at what acks=1 acknowledged and the bucket never got."
  type = object({
    size_gib   = optional(number, 20)
    iops       = optional(number, 3000)
    throughput = optional(number, 250)
    keep       = optional(bool, true)
  })
  default = {}

  validation {
    condition     = var.wal_volume.iops >= 3000 && var.wal_volume.iops <= 16000 && var.wal_volume.throughput >= 125 && var.wal_volume.throughput <= 1000 && var.wal_volume.throughput * 4 <= var.wal_volume.iops
    error_message = "wal_volume: gp3 has 3000 to 16000 iops and a throughput of 125 to 1000 MiB/s, at most a quarter of its iops."
  }

  validation {
    condition     = var.wal_volume.size_gib * 1024 >= var.wal_size_mib + 1024
    error_message = "wal_volume.size_gib: must hold wal_size_mib and a GiB more."
  }
}

variable "target_cpu_percent" {
  description = "How busy agents are to be on average: more are started above it, some are ended well below it."
  type        = number
  default     = 60

  validation {
    condition     = var.target_cpu_percent >= 20 && var.target_cpu_percent <= 80
    error_message = "target_cpu_percent: want 20 to 80; above that nothing is left for the partitions of an agent that dies."
  }
}

variable "target_mib_in_per_agent" {
  description = "How many MiB a second an agent is to take from clients on average."
  type        = number
  default     = 25

  validation {
    condition     = var.target_mib_in_per_agent >= 1 && var.target_mib_in_per_agent <= 1000
    error_message = "target_mib_in_per_agent: want 1 to 1000."
  }
}

variable "compactor" {
  description = "CPU units and memory in MiB of the compactor, a task of Fargate. It reads and writes what producers send about twice; topics compacted by key want more memory."
  type = object({
    cpu    = optional(number, 1024)
    memory = optional(number, 2048)
  })
  default = {}

  validation {
    condition     = contains([512, 1024, 2048, 4096], var.compactor.cpu) && var.compactor.memory >= 2 * var.compactor.cpu && var.compactor.memory <= (var.compactor.cpu < 4096 ? 8 : 7.5) * var.compactor.cpu && var.compactor.memory % 1024 == 0
    error_message = "compactor: want cpu of 512, 1024, 2048 or 4096, and two to eight MiB of memory for each unit, in whole GiB."
  }
}

variable "settings" {
  description = "More settings of agents and compactor, by their names in docs/settings.md, as { \"flush-interval\" = \"500ms\", \"set\" = \"num.partitions=8\" }."
  type        = map(string)
  default     = {}

  validation {
    condition = length(setintersection(keys(var.settings), [
      "bucket", "redis", "redis-password-file", "data-dir", "wal-size", "listen", "http", "cluster", "node-id", "advertise",
      "zone", "roles", "metrics-emf", "log-format", "config",
    ])) == 0
    error_message = "settings: bucket, redis, data-dir, wal-size, listen, http, cluster, roles, metrics-emf and log-format are this module's; node-id, advertise and zone are found by each agent."
  }

  validation {
    condition     = alltrue([for name, value in var.settings : can(regex("^[a-z][a-z-]*$", name)) && !strcontains(value, "\n")])
    error_message = "settings: want names as in docs/settings.md, with dashes and without ODRADEK_, and values of one line."
  }
}

variable "log_retention_days" {
  description = "For how many days logs are kept."
  type        = number
  default     = 30

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "log_retention_days: CloudWatch knows 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288 and 3653."
  }
}

variable "alarm_actions" {
  description = "Whom alarms tell, as ARNs of SNS topics."
  type        = list(string)
  default     = []
}

variable "permissions_boundary_arn" {
  description = "Boundary of the roles' permissions, where an organization wants one."
  type        = string
  default     = null
}

variable "tags" {
  description = "Tags of every resource."
  type        = map(string)
  default     = {}
}
