//! Service discovery: a list of sections per kind. Files stand here, the others in `sd/`.

use crate::TargetGroup;
use crate::codec::Entry;
use crate::decode::{Check, Decoder};
use crate::section::section;
use crate::yaml::{Kind, NodeRef};

mod aws;
mod cloud;
mod cloud_more;
mod container;
mod registry;
mod registry_more;

pub use aws::{
    AwsSdConfig, Ec2SdConfig, EcsSdConfig, ElasticacheSdConfig, LightsailSdConfig, MskSdConfig, RdsSdConfig,
    SdFilter,
};
pub use cloud::{
    AzureSdConfig, DigitalOceanSdConfig, GceSdConfig, HetznerSdConfig, IonosSdConfig, LinodeSdConfig,
    VultrSdConfig,
};
pub use cloud_more::{
    OciSdConfig, OpenstackSdConfig, OutscaleSdConfig, OvhcloudSdConfig, ScalewaySdConfig, StackitSdConfig,
    TritonSdConfig,
};
pub use container::{
    DockerFilter, DockerSdConfig, DockerSwarmSdConfig, KubernetesMetadata, KubernetesNamespaces,
    KubernetesSdConfig, KubernetesSelector,
};
pub use registry::{
    ConsulSdConfig, DnsSdConfig, EurekaSdConfig, HttpSdConfig, KumaSdConfig, MarathonSdConfig,
};
pub use registry_more::{NerveSdConfig, NomadSdConfig, PuppetdbSdConfig, ServersetSdConfig, UyuniSdConfig};

section! {
    /// All discovery sections of one job or one set of Alertmanagers.
    pub struct SdConfigs("discovery.Configs") {
        /// Several AWS services by role.
        aws_sd_configs: Vec<AwsSdConfig> = Vec::new() => "aws_sd_configs" omit Entries<AwsSdConfig>,
        /// Azure virtual machines.
        azure_sd_configs: Vec<AzureSdConfig> = Vec::new() => "azure_sd_configs" omit Entries<AzureSdConfig>,
        /// Services of Consul.
        consul_sd_configs: Vec<ConsulSdConfig> = Vec::new() => "consul_sd_configs" omit Entries<ConsulSdConfig>,
        /// DigitalOcean droplets or databases.
        digitalocean_sd_configs: Vec<DigitalOceanSdConfig> = Vec::new() => "digitalocean_sd_configs" omit Entries<DigitalOceanSdConfig>,
        /// DNS records.
        dns_sd_configs: Vec<DnsSdConfig> = Vec::new() => "dns_sd_configs" omit Entries<DnsSdConfig>,
        /// Docker containers.
        docker_sd_configs: Vec<DockerSdConfig> = Vec::new() => "docker_sd_configs" omit Entries<DockerSdConfig>,
        /// Docker Swarm services, tasks or nodes.
        dockerswarm_sd_configs: Vec<DockerSwarmSdConfig> = Vec::new() => "dockerswarm_sd_configs" omit Entries<DockerSwarmSdConfig>,
        /// EC2 instances.
        ec2_sd_configs: Vec<Ec2SdConfig> = Vec::new() => "ec2_sd_configs" omit Entries<Ec2SdConfig>,
        /// ECS tasks.
        ecs_sd_configs: Vec<EcsSdConfig> = Vec::new() => "ecs_sd_configs" omit Entries<EcsSdConfig>,
        /// Elasticache nodes.
        elasticache_sd_configs: Vec<ElasticacheSdConfig> = Vec::new() => "elasticache_sd_configs" omit Entries<ElasticacheSdConfig>,
        /// Applications of Eureka.
        eureka_sd_configs: Vec<EurekaSdConfig> = Vec::new() => "eureka_sd_configs" omit Entries<EurekaSdConfig>,
        /// Files with target groups.
        file_sd_configs: Vec<FileSdConfig> = Vec::new() => "file_sd_configs" omit Entries<FileSdConfig>,
        /// Google Compute Engine instances.
        gce_sd_configs: Vec<GceSdConfig> = Vec::new() => "gce_sd_configs" omit Entries<GceSdConfig>,
        /// Hetzner servers.
        hetzner_sd_configs: Vec<HetznerSdConfig> = Vec::new() => "hetzner_sd_configs" omit Entries<HetznerSdConfig>,
        /// An HTTP endpoint that lists target groups.
        http_sd_configs: Vec<HttpSdConfig> = Vec::new() => "http_sd_configs" omit Entries<HttpSdConfig>,
        /// IONOS servers.
        ionos_sd_configs: Vec<IonosSdConfig> = Vec::new() => "ionos_sd_configs" omit Entries<IonosSdConfig>,
        /// Kubernetes objects.
        kubernetes_sd_configs: Vec<KubernetesSdConfig> = Vec::new() => "kubernetes_sd_configs" omit Entries<KubernetesSdConfig>,
        /// Data planes of Kuma.
        kuma_sd_configs: Vec<KumaSdConfig> = Vec::new() => "kuma_sd_configs" omit Entries<KumaSdConfig>,
        /// Lightsail instances.
        lightsail_sd_configs: Vec<LightsailSdConfig> = Vec::new() => "lightsail_sd_configs" omit Entries<LightsailSdConfig>,
        /// Linode instances.
        linode_sd_configs: Vec<LinodeSdConfig> = Vec::new() => "linode_sd_configs" omit Entries<LinodeSdConfig>,
        /// Tasks of Marathon.
        marathon_sd_configs: Vec<MarathonSdConfig> = Vec::new() => "marathon_sd_configs" omit Entries<MarathonSdConfig>,
        /// MSK brokers.
        msk_sd_configs: Vec<MskSdConfig> = Vec::new() => "msk_sd_configs" omit Entries<MskSdConfig>,
        /// Nerve's registry in Zookeeper.
        nerve_sd_configs: Vec<NerveSdConfig> = Vec::new() => "nerve_sd_configs" omit Entries<NerveSdConfig>,
        /// Services of Nomad.
        nomad_sd_configs: Vec<NomadSdConfig> = Vec::new() => "nomad_sd_configs" omit Entries<NomadSdConfig>,
        /// Oracle cloud instances.
        oci_sd_configs: Vec<OciSdConfig> = Vec::new() => "oci_sd_configs" omit Entries<OciSdConfig>,
        /// OpenStack instances, hypervisors or load balancers.
        openstack_sd_configs: Vec<OpenstackSdConfig> = Vec::new() => "openstack_sd_configs" omit Entries<OpenstackSdConfig>,
        /// Outscale machines.
        outscale_sd_configs: Vec<OutscaleSdConfig> = Vec::new() => "outscale_sd_configs" omit Entries<OutscaleSdConfig>,
        /// OVHcloud servers.
        ovhcloud_sd_configs: Vec<OvhcloudSdConfig> = Vec::new() => "ovhcloud_sd_configs" omit Entries<OvhcloudSdConfig>,
        /// Resources of PuppetDB.
        puppetdb_sd_configs: Vec<PuppetdbSdConfig> = Vec::new() => "puppetdb_sd_configs" omit Entries<PuppetdbSdConfig>,
        /// RDS instances.
        rds_sd_configs: Vec<RdsSdConfig> = Vec::new() => "rds_sd_configs" omit Entries<RdsSdConfig>,
        /// Scaleway servers.
        scaleway_sd_configs: Vec<ScalewaySdConfig> = Vec::new() => "scaleway_sd_configs" omit Entries<ScalewaySdConfig>,
        /// Serversets in Zookeeper.
        serverset_sd_configs: Vec<ServersetSdConfig> = Vec::new() => "serverset_sd_configs" omit Entries<ServersetSdConfig>,
        /// STACKIT servers.
        stackit_sd_configs: Vec<StackitSdConfig> = Vec::new() => "stackit_sd_configs" omit Entries<StackitSdConfig>,
        /// Target groups that stand in the file itself; `source` is their position.
        static_configs: Vec<TargetGroup> = Vec::new() => "static_configs" omit TargetGroups,
        /// Triton containers or compute nodes.
        triton_sd_configs: Vec<TritonSdConfig> = Vec::new() => "triton_sd_configs" omit Entries<TritonSdConfig>,
        /// Systems of Uyuni.
        uyuni_sd_configs: Vec<UyuniSdConfig> = Vec::new() => "uyuni_sd_configs" omit Entries<UyuniSdConfig>,
        /// Vultr instances.
        vultr_sd_configs: Vec<VultrSdConfig> = Vec::new() => "vultr_sd_configs" omit Entries<VultrSdConfig>,
    }
}

section! {
    /// Target groups in files that are watched.
    pub struct FileSdConfig("file.plain") {
        /// Paths; the last part may hold `*`. Each ends in `.json`, `.yml` or `.yaml`.
        files: Vec<String> = Vec::new() => "files" show List<FilePath>,
        /// How often the files are read even when nothing seems to have changed.
        refresh_interval_ms: i64 = 300_000 => "refresh_interval" omit Duration,
    }
}

impl Entry for FileSdConfig {
    const LIST_TYPE: &'static str = "[]*file.SDConfig";
    const NULL_TEXT: &'static str = "empty or null section in file_sd_configs";
}

impl Check for FileSdConfig {
    fn check(&mut self, at: NodeRef<'_>, d: &mut Decoder) {
        let files = at.get("files");
        if self.files.is_empty() {
            d.rule(at.mark(), "file service discovery config must contain at least one path name");
        }
        for item in files.iter().flat_map(|files| files.items()).map(NodeRef::resolved) {
            if let Kind::Scalar { value, .. } = item.kind()
                && !is_file_pattern(value)
            {
                let name = narthex_model::quote_go(value);
                d.rule(item.mark(), format!("path name {name} is not valid for file discovery"));
            }
        }
    }
}

/// Whether a path names files of a known kind, with a star only in its last part.
fn is_file_pattern(path: &str) -> bool {
    let extensions = [".json", ".yml", ".yaml", ".JSON", ".YML", ".YAML"];
    let Some(stem) = extensions.iter().find_map(|e| path.strip_suffix(e)) else { return false };
    !stem.contains('\n') && stem.find('*').is_none_or(|star| !stem[star..].contains('/'))
}

/// A URL that must be absolute and HTTP.
fn check_http_url(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("URL is missing".to_owned());
    }
    let url = crate::Url::parse(text).map_err(|e| e.to_string())?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("URL scheme must be 'http' or 'https'".to_owned());
    }
    if url.host().is_empty() {
        return Err("host is missing in URL".to_owned());
    }
    Ok(())
}

/// The kinds that somebody configured but that nobody acts on yet.
pub(crate) fn not_acted_on(sd: &SdConfigs) -> Vec<&'static str> {
    let lengths = [
        ("aws_sd_configs", sd.aws_sd_configs.len()),
        ("azure_sd_configs", sd.azure_sd_configs.len()),
        ("consul_sd_configs", sd.consul_sd_configs.len()),
        ("digitalocean_sd_configs", sd.digitalocean_sd_configs.len()),
        ("dns_sd_configs", sd.dns_sd_configs.len()),
        ("docker_sd_configs", sd.docker_sd_configs.len()),
        ("dockerswarm_sd_configs", sd.dockerswarm_sd_configs.len()),
        ("ec2_sd_configs", sd.ec2_sd_configs.len()),
        ("ecs_sd_configs", sd.ecs_sd_configs.len()),
        ("elasticache_sd_configs", sd.elasticache_sd_configs.len()),
        ("eureka_sd_configs", sd.eureka_sd_configs.len()),
        ("gce_sd_configs", sd.gce_sd_configs.len()),
        ("hetzner_sd_configs", sd.hetzner_sd_configs.len()),
        ("http_sd_configs", sd.http_sd_configs.len()),
        ("ionos_sd_configs", sd.ionos_sd_configs.len()),
        ("kubernetes_sd_configs", sd.kubernetes_sd_configs.len()),
        ("kuma_sd_configs", sd.kuma_sd_configs.len()),
        ("lightsail_sd_configs", sd.lightsail_sd_configs.len()),
        ("linode_sd_configs", sd.linode_sd_configs.len()),
        ("marathon_sd_configs", sd.marathon_sd_configs.len()),
        ("msk_sd_configs", sd.msk_sd_configs.len()),
        ("nerve_sd_configs", sd.nerve_sd_configs.len()),
        ("nomad_sd_configs", sd.nomad_sd_configs.len()),
        ("oci_sd_configs", sd.oci_sd_configs.len()),
        ("openstack_sd_configs", sd.openstack_sd_configs.len()),
        ("outscale_sd_configs", sd.outscale_sd_configs.len()),
        ("ovhcloud_sd_configs", sd.ovhcloud_sd_configs.len()),
        ("puppetdb_sd_configs", sd.puppetdb_sd_configs.len()),
        ("rds_sd_configs", sd.rds_sd_configs.len()),
        ("scaleway_sd_configs", sd.scaleway_sd_configs.len()),
        ("serverset_sd_configs", sd.serverset_sd_configs.len()),
        ("stackit_sd_configs", sd.stackit_sd_configs.len()),
        ("triton_sd_configs", sd.triton_sd_configs.len()),
        ("uyuni_sd_configs", sd.uyuni_sd_configs.len()),
        ("vultr_sd_configs", sd.vultr_sd_configs.len()),
    ];
    lengths.into_iter().filter(|(_, len)| *len > 0).map(|(kind, _)| kind).collect()
}
