//! Discovery of containers: Docker, Swarm, Kubernetes. Flat tables of fields; defaults and rules are those of Prometheus 3.14.

use crate::codec::Entry;
use crate::decode::Check;
use crate::section::section;
use crate::{HttpClientConfig, Url};

section! {
    /// Docker containers.
    pub struct DockerSdConfig("moby.plain") {
        /// The HTTP client.
        http: HttpClientConfig = HttpClientConfig::default() => "" inline HttpClientConfig,
        /// The daemon's address.
        host: String = String::new() => "host" show Text,
        /// The port of targets that name none.
        port: i64 = 80 => "port" show Int,
        /// Filters of the API.
        filters: Vec<DockerFilter> = Vec::new() => "filters" show List<Object<DockerFilter>>,
        /// The host of containers on the host's network.
        host_networking_host: String = "localhost".to_owned() => "host_networking_host" show Text,
        /// How often the API is asked.
        refresh_interval_ms: i64 = 60_000 => "refresh_interval" show Duration,
        /// Whether only the first network of a container counts.
        match_first_network: bool = true => "match_first_network" show Flag,
    }
}

impl Entry for DockerSdConfig {
    const LIST_TYPE: &'static str = "[]*moby.DockerSDConfig";
    const NULL_TEXT: &'static str = "empty or null section in docker_sd_configs";
}

section! {
    /// Docker Swarm services, tasks or nodes.
    pub struct DockerSwarmSdConfig("moby.plain") {
        /// The HTTP client.
        http: HttpClientConfig = HttpClientConfig::default() => "" inline HttpClientConfig,
        /// The daemon's address.
        host: String = String::new() => "host" show Text,
        /// What is discovered.
        role: String = String::new() => "role" show Text,
        /// The port of targets that name none.
        port: i64 = 80 => "port" show Int,
        /// Filters of the API.
        filters: Vec<DockerFilter> = Vec::new() => "filters" show List<Object<DockerFilter>>,
        /// How often the API is asked.
        refresh_interval_ms: i64 = 60_000 => "refresh_interval" show Duration,
    }
}

impl Entry for DockerSwarmSdConfig {
    const LIST_TYPE: &'static str = "[]*moby.DockerSwarmSDConfig";
    const NULL_TEXT: &'static str = "empty or null section in dockerswarm_sd_configs";
}

section! {
    /// Kubernetes objects.
    pub struct KubernetesSdConfig("kubernetes.plain") {
        /// The API server; none: the pod's own cluster.
        api_server: Option<Url> = None => "api_server" omit Address,
        /// What is discovered.
        role: String = String::new() => "role" show KubernetesRole,
        /// A kubeconfig file.
        kubeconfig_file: String = String::new() => "kubeconfig_file" show FilePath,
        /// The HTTP client.
        http: HttpClientConfig = HttpClientConfig::default() => "" inline HttpClientConfig,
        /// The namespaces to watch.
        namespaces: KubernetesNamespaces = KubernetesNamespaces::default() => "namespaces" omit Object<KubernetesNamespaces>,
        /// Selectors, a role each.
        selectors: Vec<KubernetesSelector> = Vec::new() => "selectors" omit List<Object<KubernetesSelector>>,
        /// Metadata of related objects to attach.
        attach_metadata: KubernetesMetadata = KubernetesMetadata::default() => "attach_metadata" omit Object<KubernetesMetadata>,
    }
}

impl Entry for KubernetesSdConfig {
    const LIST_TYPE: &'static str = "[]*kubernetes.SDConfig";
    const NULL_TEXT: &'static str = "empty or null section in kubernetes_sd_configs";
}

section! {
    /// Which namespaces are watched.
    pub struct KubernetesNamespaces("kubernetes.plain") {
        /// Whether the pod's own namespace is watched.
        own_namespace: bool = false => "own_namespace" show Flag,
        /// What to look for.
        names: Vec<String> = Vec::new() => "names" show List<Text>,
    }
}

section! {
    /// A selector of one role.
    pub struct KubernetesSelector("kubernetes.SelectorConfig") {
        /// What is discovered.
        role: String = String::new() => "role" omit KubernetesRole,
        /// A label selector.
        label: String = String::new() => "label" omit Text,
        /// A field selector.
        field: String = String::new() => "field" omit Text,
    }
}

section! {
    /// A filter of Docker's API.
    pub struct DockerFilter("moby.Filter") {
        /// The name.
        name: String = String::new() => "name" show Text,
        /// The values, any of which will do.
        values: Vec<String> = Vec::new() => "values" show List<Text>,
    }
}

impl Check for DockerFilter {}

section! {
    /// Metadata of related objects to attach as labels.
    pub struct KubernetesMetadata("kubernetes.AttachMetadataConfig") {
        /// Of the node.
        node: bool = false => "node" show Flag,
        /// Of the namespace.
        namespace: bool = false => "namespace" show Flag,
        /// Of the deployment.
        deployment: bool = false => "deployment" show Flag,
        /// Of the job.
        job: bool = false => "job" show Flag,
        /// Of the cron job.
        cronjob: bool = false => "cronjob" show Flag,
    }
}

impl Check for KubernetesMetadata {}

fn check_host(host: &str) -> Result<(), String> {
    if host.is_empty() {
        return Err("host missing".to_owned());
    }
    Url::parse(host).map(|_| ()).map_err(|e| e.to_string())
}

impl Check for DockerSdConfig {
    fn verify(&mut self) -> Result<(), String> {
        check_host(&self.host)?;
        self.http.settle()
    }
}

impl Check for DockerSwarmSdConfig {
    fn verify(&mut self) -> Result<(), String> {
        check_host(&self.host)?;
        match self.role.as_str() {
            "services" | "nodes" | "tasks" => self.http.settle(),
            "" => Err("role missing (one of: tasks, services, nodes)".to_owned()),
            other => Err(format!("invalid role {other}, expected tasks, services, or nodes")),
        }
    }
}

impl Check for KubernetesSdConfig {
    fn verify(&mut self) -> Result<(), String> {
        if self.role.is_empty() {
            let roles = "pod, service, endpoints, endpointslice, node, ingress";
            return Err(format!("role missing (one of: {roles})"));
        }
        self.http.settle()?;
        self.verify_access()?;
        self.verify_selectors()
    }
}

impl KubernetesSdConfig {
    /// The API server, the kubeconfig and the HTTP client exclude each other in part.
    fn verify_access(&self) -> Result<(), String> {
        let custom_http = self.http != HttpClientConfig::default();
        let (server, file) = (self.api_server.is_some(), !self.kubeconfig_file.is_empty());
        let own = self.namespaces.own_namespace;
        let text = match () {
            () if server && file => "cannot use 'kubeconfig_file' and 'api_server' simultaneously",
            () if file && custom_http => {
                "cannot use a custom HTTP client configuration together with 'kubeconfig_file'"
            }
            () if !server && custom_http => {
                "to use custom HTTP client configuration please provide the 'api_server' URL explicitly"
            }
            () if server && own => "cannot use 'api_server' and 'namespaces.own_namespace' simultaneously",
            () if file && own => "cannot use 'kubeconfig_file' and 'namespaces.own_namespace' simultaneously",
            () => return Ok(()),
        };
        Err(text.to_owned())
    }

    fn verify_selectors(&self) -> Result<(), String> {
        let allowed: &[&str] = match self.role.as_str() {
            "pod" => &["pod", "node"],
            "endpointslice" => &["pod", "service", "endpointslice"],
            "endpoints" => &["pod", "service", "endpoints"],
            "service" => &["service"],
            "node" => &["node"],
            _ => &["ingress"],
        };
        for (i, selector) in self.selectors.iter().enumerate() {
            if self.selectors[..i].iter().any(|s| s.role == selector.role) {
                return Err(format!("duplicated selector role: {}", selector.role));
            }
            if !allowed.contains(&selector.role.as_str()) {
                return Err(format!("{} role supports only {} selectors", self.role, allowed.join(", ")));
            }
            selector.verify_field()?;
        }
        Ok(())
    }
}

impl KubernetesSelector {
    /// Terms between commas, each with `=`, `==` or `!=`; a backslash takes the next character as it is.
    fn verify_field(&self) -> Result<(), String> {
        for term in self.field.split(',').filter(|t| !t.is_empty()) {
            if !term.contains('=') {
                return Err(format!("invalid selector: '{}'; can't understand '{term}'", self.field));
            }
        }
        Ok(())
    }
}

impl Check for KubernetesNamespaces {}

impl Check for KubernetesSelector {}
